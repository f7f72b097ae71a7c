package console

import (
	"unicode"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/ingest"
)

// advices say what to do about a request that was not accepted, where ingest itself does
// not: it does not know the names of the settings.
var advices = map[string]string{
	"unknown_path": "No webhook is at this path. Expected /webhooks/meta, or /webhooks/telegram/ and the name of a bot in GATEWAY_TELEGRAM_SECRETS: " +
		"correct the callback URL at the platform.",
	"method":       "A platform delivers with POST. This is probably a browser or a monitor; for health checks use /healthz on the admin listener.",
	"verify_token": "The verify token is not the configured one. Enter the same token in the webhook settings of the app and in GATEWAY_META_VERIFY_TOKEN.",
	"handshake_parameters": "Not a handshake of Meta: hub.mode=subscribe, hub.verify_token and hub.challenge are expected. " +
		"If Meta sent it, something in front of the gateway drops or changes the query.",
	"too_large":      "The body is larger than the gateway accepts. Raise GATEWAY_MAX_BODY_BYTES if the sender is a platform.",
	"media_type":     "The platforms send Content-Type: application/json. Something in front of the gateway changes it, or the sender is not a platform.",
	"incomplete":     "The body did not arrive completely. Look at the network and the timeouts of the proxy in front of the gateway.",
	"not_json":       "The delivery is correctly signed, but not a JSON object. It is kept as a dead letter.",
	"malformed_item": "An item is not as the platform documents it. It is kept as a dead letter; the other items of the delivery are stored.",
	"busy":           "Too many deliveries at once; the platform delivers again. Find out why the store is slow, or raise GATEWAY_MAX_IN_FLIGHT.",
	"internal":       "A fault in the gateway. The log has the details: please report it. The platform delivers again.",
}

// advise says what to do about a request that was not accepted.
func advise(o *ingest.Observation) string {
	if text := advices[o.Reason]; text != "" {
		return text
	}
	if o.Reason == "store" {
		return "The store did not confirm the events: " + o.Help + ". The platform delivers again."
	}
	return sentence(o.Help)
}

// sentence writes the text of a log line as a sentence.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:] + "."
}
