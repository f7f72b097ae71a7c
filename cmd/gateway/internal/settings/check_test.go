package settings

import (
	"strings"
	"testing"
)

// The files that rows of the table name.
const (
	noFile    = "/no/such/file"
	directory = "/"
)

func TestBadSettings(t *testing.T) {
	file, empty := writeFile(t, "x"), writeFile(t, "\n")
	tests := []struct {
		env  map[string]string
		want string
	}{
		// What cannot be read at all.
		{env("PUBLISH_TIMEOUT", "soon"), `PUBLISH_TIMEOUT: "soon" is not a duration: expected a number with a unit, like 4s or 500ms`},
		{env("PUBLISH_TIMEOUT", "4"), `PUBLISH_TIMEOUT: "4" is not a duration: expected a number with a unit, like 4s or 500ms`},
		{env("MAX_BODY_BYTES", "4MiB"), `MAX_BODY_BYTES: "4MiB" is not a whole number: expected only digits, like 100`},
		{env("MAX_IN_FLIGHT", "99999999999999999999"), `MAX_IN_FLIGHT: "99999999999999999999" is out of range: expected a smaller whole number`},
		{env("INCLUDE_RAW", "yes"), `INCLUDE_RAW: "yes" is neither true nor false: expected one of them`},
		// Listeners.
		{env("LISTEN", "http://0.0.0.0:80"), `LISTEN: "http://0.0.0.0:80" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("LISTEN", ":http"), `LISTEN: ":http" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("LISTEN", " :80"), `LISTEN: " :80" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("ADMIN_LISTEN", "off"), `ADMIN_LISTEN: "off" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("EMBEDDED_LISTEN", "127.0.0.1:65536"), `EMBEDDED_LISTEN: "127.0.0.1:65536" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080, or off`},
		// Secrets.
		{env("META_APP_SECRETS", ","), "META_APP_SECRETS: entry 1 is empty: expected entries separated by single commas\nMETA_APP_SECRETS: entry 2 is empty: expected entries separated by single commas"},
		{env("META_APP_SECRETS", "a, b"), `META_APP_SECRETS: entry 2 contains white space or invisible characters: expected a value without them`},
		{env("META_APP_SECRETS", "  "), `META_APP_SECRETS: entry 1 contains white space or invisible characters: expected a value without them`},
		{env("META_APP_SECRETS", "a\u200b"), `META_APP_SECRETS: entry 1 contains white space or invisible characters: expected a value without them`},
		{env("ADMIN_TOKEN", "two words"), `ADMIN_TOKEN: contains white space or invisible characters: expected a value without them`},
		{env("META_VERIFY_TOKEN", "two words"), `META_VERIFY_TOKEN: contains white space or invisible characters: expected a value without them`},
		{env("EMBEDDED_TOKEN", "$2a$11$hunter2"), `EMBEDDED_TOKEN: looks like a bcrypt hash, which the server would compare with the hash of what consumers send: expected the token itself, without white space and invisible characters`},
		{env("EMBEDDED_TOKEN", strings.Repeat("t", 1025)), `EMBEDDED_TOKEN: is too long: expected at most 1024 bytes`},
		{env("EMBEDDED_TOKEN", "t\t"), `EMBEDDED_TOKEN: contains white space or invisible characters: expected the token itself, without white space and invisible characters`},
		{env("TELEGRAM_SECRETS", "bot:t,"), `TELEGRAM_SECRETS: entry 2 is empty: expected entries separated by single commas`},
		{env("TELEGRAM_SECRETS", "bot"), `TELEGRAM_SECRETS: entry 1 has no colon: expected bot:token, with 1 to 128 letters, digits, _ and - as the bot and 1 to 256 as the token (the secret_token given to setWebhook, not the token of the bot)`},
		{env("TELEGRAM_SECRETS", "my/bot:t"), `TELEGRAM_SECRETS: entry 1 does not begin with the name of a bot: expected bot:token, with 1 to 128 letters, digits, _ and - as the bot and 1 to 256 as the token (the secret_token given to setWebhook, not the token of the bot)`},
		{env("TELEGRAM_SECRETS", "bot:123:ABC"), `TELEGRAM_SECRETS: entry 1 does not end with a secret token: expected bot:token, with 1 to 128 letters, digits, _ and - as the bot and 1 to 256 as the token (the secret_token given to setWebhook, not the token of the bot)`},
		{env("META_VERIFY_TOKEN", "a", "META_VERIFY_TOKEN_FILE", file), `META_VERIFY_TOKEN: is given twice: expected either this or GATEWAY_META_VERIFY_TOKEN_FILE`},
		{env("META_VERIFY_TOKEN_FILE", noFile), `META_VERIFY_TOKEN_FILE: "/no/such/file" cannot be read: no such file or directory`},
		{env("META_VERIFY_TOKEN_FILE", directory), `META_VERIFY_TOKEN_FILE: "/" cannot be read: is a directory`},
		{env("META_VERIFY_TOKEN_FILE", empty), `META_VERIFY_TOKEN_FILE: "` + empty + `" is empty: expected a file that holds the secret`},
		{env("META_VERIFY_TOKEN_FILE", "hunter2"), `META_VERIFY_TOKEN_FILE: the given file cannot be read: no such file or directory`},
		// NATS.
		{env("NATS_URL", "nats://a,"), `NATS_URL: entry 2 is empty: expected entries separated by single commas`},
		{env("NATS_URL", "a:4222"), `NATS_URL: entry 1 "***" is not a URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a, nats://b"), `NATS_URL: entry 2 "***" is not a URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://u:hunter2@a:x"), `NATS_URL: entry 1 "***" is not a URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "http://u:hunter2@a:1"), `NATS_URL: entry 1 "http://u:***@a:1" has an unknown scheme: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://hunter2@:4222"), `NATS_URL: entry 1 "nats://***@:4222" has no host: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a?token=hunter2"), `NATS_URL: entry 1 "nats://a?***" has more than an address: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a,ws://b"), `NATS_URL: has both WebSocket and plain servers: expected only one kind`},
		{env("NATS_CREDS", file), `NATS_CREDS: has no effect: expected GATEWAY_NATS_URL to be set too`},
		{env("NATS_TOKEN", "t"), `NATS_TOKEN: has no effect: expected GATEWAY_NATS_URL to be set too`},
		{cluster("NATS_USER", "u"), `NATS_PASSWORD: is not set: expected it together with GATEWAY_NATS_USER`},
		{cluster("NATS_PASSWORD", "p"), `NATS_USER: is not set: expected it together with GATEWAY_NATS_PASSWORD`},
		{cluster("NATS_USER", "u", "NATS_PASSWORD_FILE", noFile), `NATS_PASSWORD_FILE: "/no/such/file" cannot be read: no such file or directory`},
		{cluster("NATS_USER", "u", "NATS_PASSWORD", "p\nq"), `NATS_PASSWORD: contains a line break: expected one line`},
		{cluster("NATS_TOKEN", "t t"), `NATS_TOKEN: contains white space or invisible characters: expected a value without them`},
		{cluster("NATS_CREDS", file, "NATS_TOKEN", "t"), `NATS_TOKEN: is a second login beside GATEWAY_NATS_CREDS: expected only one of them`},
		{cluster("NATS_NKEY", file, "NATS_USER", "u", "NATS_PASSWORD", "p"), `NATS_USER: is a second login beside GATEWAY_NATS_NKEY: expected only one of them`},
		{cluster("NATS_CREDS", noFile), `NATS_CREDS: "/no/such/file" cannot be read (no such file or directory): expected a file that the gateway can read`},
		{cluster("NATS_NKEY", directory), `NATS_NKEY: "/" is a directory: expected a file that the gateway can read`},
		{cluster("NATS_CA", noFile), `NATS_CA: "/no/such/file" cannot be read (no such file or directory): expected a file that the gateway can read`},
		{cluster("NATS_CERT", file), `NATS_KEY: is not set: expected it together with GATEWAY_NATS_CERT`},
		{cluster("NATS_KEY", file), `NATS_CERT: is not set: expected it together with GATEWAY_NATS_KEY`},
		{env("RELAY", "true"), `RELAY: has no effect: expected GATEWAY_NATS_URL to be set too`},
		// The stream.
		{env("FORWARD", "https://bot"), `FORWARD: entry 1 has no =: expected meta=URL, or telegram/ and the name of a bot and =URL, with an http or https URL`},
		{env("FORWARD", "messenger=https://bot"), `FORWARD: entry 1 does not begin with a webhook: expected meta=URL, or telegram/ and the name of a bot and =URL, with an http or https URL`},
		{env("FORWARD", "meta=https://a,telegram/=https://b"), `FORWARD: entry 2 does not begin with a webhook: expected meta=URL, or telegram/ and the name of a bot and =URL, with an http or https URL`},
		{env("FORWARD", "meta=bot:8080/x"), `FORWARD: entry 1 does not end with a web address: expected meta=URL, or telegram/ and the name of a bot and =URL, with an http or https URL`},
		{env("FORWARD", "meta=https://a,meta=https://b"), `FORWARD: entry 2 is for the same webhook as another one: expected one URL for each`},
		{env("FORWARD", "telegram/shop_bot=https://a"), `FORWARD: entry 1 is for bot "shop_bot": expected a bot of GATEWAY_TELEGRAM_SECRETS`},
		{env("FORWARD_MAX_AGE", "0"), `FORWARD_MAX_AGE: "0s" is out of range: expected at least 1s`},
		{env("HEALTH_PATH", "health"), `HEALTH_PATH: "health" is not a path for health checks: expected a path like /health that is not below /webhooks/`},
		{env("HEALTH_PATH", "/webhooks/meta"), `HEALTH_PATH: "/webhooks/meta" is not a path for health checks: expected a path like /health that is not below /webhooks/`},
		{env("TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.1"), `TRUSTED_PROXIES: entry 2 "10.0.0.1" is not a network: expected a network like 10.0.0.0/8 or fd00::/8`},
		{env("SUBJECT_ROOT", "a.*"), `SUBJECT_ROOT: "a.*" is not a subject: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX`},
		{env("SUBJECT_ROOT", "$JS.a"), `SUBJECT_ROOT: "$JS.a" is not a subject: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX`},
		{env("SUBJECT_ROOT", "deadletter.v1"), `SUBJECT_ROOT: "deadletter.v1" begins with deadletter, which is reserved: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX`},
		{env("SUBJECT_ROOT", "unclaimed"), `SUBJECT_ROOT: "unclaimed" begins with unclaimed, which is reserved: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX`},
		{env("STREAM", "post.backs"), `STREAM: "post.backs" is not the name of a stream: expected a name without white space and . * > / \`},
		{env("STREAM", strings.Repeat("S", 241)), `STREAM: "` + strings.Repeat("S", 241) + `" is too long: expected at most 240 bytes`},
		{env("PARTITIONS", "65"), `PARTITIONS: "65" is out of range: expected 0 to 64`},
		{env("PARTITIONS", "-1"), `PARTITIONS: "-1" is out of range: expected 0 to 64`},
		{cluster("STREAM_REPLICAS", "6"), `STREAM_REPLICAS: "6" is out of range: expected 0 to 5`},
		{env("STREAM_REPLICAS", "-1"), `STREAM_REPLICAS: "-1" is out of range: expected 0 to 5`},
		{env("STREAM_REPLICAS", "3"), `STREAM_REPLICAS: "3" needs a cluster: expected 0 or 1, or GATEWAY_NATS_URL set`},
		{env("STREAM_MAX_AGE", "-1h"), `STREAM_MAX_AGE: "-1h0m0s" is out of range: expected at least 1s, or 0`},
		{env("STREAM_MAX_AGE", "999ms"), "STREAM_MAX_AGE: \"999ms\" is out of range: expected at least 1s, or 0"},
		{env("STREAM_MAX_AGE", "1h"), `DUPLICATE_WINDOW: "2h0m0s" is too long: expected at most GATEWAY_STREAM_MAX_AGE, which is 1h0m0s`},
		{env("STREAM_MAX_AGE", "soon", "DUPLICATE_WINDOW", "200h"), `STREAM_MAX_AGE: "soon" is not a duration: expected a number with a unit, like 4s or 500ms`},
		{env("STREAM_MAX_BYTES", "-1"), `STREAM_MAX_BYTES: "-1" is out of range: expected at least 1048576, or 0`},
		{env("STREAM_MAX_BYTES", "10"), `STREAM_MAX_BYTES: "10" is out of range: expected at least 1048576, or 0`},
		{env("STREAM_MAX_BYTES", "1048575"), `STREAM_MAX_BYTES: "1048575" is out of range: expected at least 1048576, or 0`},
		{env("DUPLICATE_WINDOW", "0"), `DUPLICATE_WINDOW: "0s" is out of range: expected at least 1s`},
		{env("FALLBACK", "disk"), `FALLBACK: "disk" is unknown: expected true, false or off`},
		{env("SYNC", "never"), `SYNC: "never" is unknown: expected group, always or interval`},
		// Limits.
		{env("PUBLISH_TIMEOUT", "0s"), `PUBLISH_TIMEOUT: "0s" is out of range: expected at least 100ms`},
		{env("PUBLISH_TIMEOUT", "99ms"), `PUBLISH_TIMEOUT: "99ms" is out of range: expected at least 100ms`},
		{env("PUBLISH_TIMEOUT", "8s"), `PUBLISH_TIMEOUT: "8s" is too long: expected less than GATEWAY_SHUTDOWN_TIMEOUT, which is 8s`},
		{env("SHUTDOWN_TIMEOUT", "0"), `SHUTDOWN_TIMEOUT: "0s" is out of range: expected at least 1s`},
		{env("SHUTDOWN_TIMEOUT", "999ms"), `SHUTDOWN_TIMEOUT: "999ms" is out of range: expected at least 1s`},
		{env("MAX_BODY_BYTES", "268435457"), `MAX_BODY_BYTES: "268435457" is out of range: expected 512 to 268435456`},
		{env("MAX_BODY_BYTES", "0"), `MAX_BODY_BYTES: "0" is out of range: expected 512 to 268435456`},
		{env("MAX_BODY_BYTES", "511"), `MAX_BODY_BYTES: "511" is out of range: expected 512 to 268435456`},
		{env("MAX_IN_FLIGHT", "0"), `MAX_IN_FLIGHT: "0" is out of range: expected at least 1`},
		{env("MAX_IN_FLIGHT", "-5"), `MAX_IN_FLIGHT: "-5" is out of range: expected at least 1`},
		{env("METRICS_PREFIX_LIMIT", "-1"), `METRICS_PREFIX_LIMIT: "-1" is out of range: expected at least 0`},
		// TLS.
		{env("TLS_CERT", file), `TLS_KEY: is not set: expected it together with GATEWAY_TLS_CERT`},
		{env("TLS_KEY", file), `TLS_CERT: is not set: expected it together with GATEWAY_TLS_KEY`},
		{env("TLS_CLIENT_CA", file), `TLS_CLIENT_CA: has no effect: expected GATEWAY_TLS_CERT and GATEWAY_TLS_KEY to be set too`},
		{env("TLS_CERT", noFile, "TLS_KEY", directory), "TLS_CERT: \"/no/such/file\" cannot be read (no such file or directory): expected a file that the gateway can read\nTLS_KEY: \"/\" is a directory: expected a file that the gateway can read"},
		// Logs and traces.
		{env("LOG_LEVEL", "trace"), `LOG_LEVEL: "trace" is unknown: expected debug, info, warn or error`},
		{env("LOG_FORMAT", "xml"), `LOG_FORMAT: "xml" is unknown: expected text or json`},
		{env("OTLP_ENDPOINT", "u:hunter2@localhost:4318"), `OTLP_ENDPOINT: "***" is not a web address: expected a URL like http://localhost:4318; put a key in OTEL_EXPORTER_OTLP_HEADERS`},
		{env("OTLP_ENDPOINT", "grpc://u:hunter2@localhost:4317"), `OTLP_ENDPOINT: "grpc://u:***@localhost:4317" is not a web address: expected a URL like http://localhost:4318; put a key in OTEL_EXPORTER_OTLP_HEADERS`},
		{env("OTLP_ENDPOINT", "https://localhost:4318/?key=hunter2"), `OTLP_ENDPOINT: "https://localhost:4318/?***" has more than an address: expected a URL like http://localhost:4318; put a key in OTEL_EXPORTER_OTLP_HEADERS`},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			setenv(t, test.env)
			_, err := Load()
			want := Prefix + strings.ReplaceAll(test.want, "\n", "\n"+Prefix)
			if err == nil || err.Error() != want {
				t.Errorf("%v\ngot:  %v\nwant: %s", test.env, err, want)
			}
		})
	}
}

func cluster(pairs ...string) map[string]string {
	return env(append(pairs, "NATS_URL", "nats://localhost:4222")...)
}
