package settings

import (
	"slices"
	"testing"
)

func TestWarnings(t *testing.T) {
	file := writeFile(t, "x")
	tests := []struct {
		env  map[string]string
		want []string
	}{
		{env("EMBEDDED_LISTEN", "localhost:4222"), nil},
		{env("EMBEDDED_LISTEN", "[::1]:4222"), nil},
		{env("EMBEDDED_LISTEN", "127.9.9.9:0"), nil},
		{env("EMBEDDED_LISTEN", "off"), nil},
		{env("EMBEDDED_LISTEN", ":4222", "EMBEDDED_TOKEN", "t"), nil},
		{cluster("EMBEDDED_LISTEN", ":4222"), nil},
		{env("EMBEDDED_LISTEN", ":4222"), []string{"GATEWAY_EMBEDDED_LISTEN is :4222 without GATEWAY_EMBEDDED_TOKEN: everyone who reaches it can read and write all events"}},
		{env("EMBEDDED_LISTEN", "nats:4222"), []string{"GATEWAY_EMBEDDED_LISTEN is nats:4222 without GATEWAY_EMBEDDED_TOKEN: everyone who reaches it can read and write all events"}},
		{env("EMBEDDED_LISTEN", "off", "EMBEDDED_TOKEN", "t"), []string{"GATEWAY_EMBEDDED_TOKEN has no effect: there is no embedded server that listens"}},
		{cluster("EMBEDDED_TOKEN", "t"), []string{"GATEWAY_EMBEDDED_TOKEN has no effect: there is no embedded server that listens"}},
		{env("META_ALLOW_UNSIGNED", "true"), []string{"GATEWAY_META_ALLOW_UNSIGNED is true: everyone who reaches the webhook can post events, so use it only for tests"}},
		{env("TELEGRAM_SECRETS", "bot:old,bot:new", "FALLBACK", "true"), nil},
		{env("TLS_CERT", file, "TLS_KEY", file, "TLS_CLIENT_CA", file), nil},
		{env("TLS_CERT", file, "TLS_KEY", file, "TLS_CLIENT_CA", file, "TELEGRAM_SECRETS", "bot:t"), []string{"GATEWAY_TLS_CLIENT_CA rejects Telegram, which has no client certificate: run another gateway for the bots of GATEWAY_TELEGRAM_SECRETS"}},
		{env("OTLP_ENDPOINT", "https://otlp:4318/v1"), nil},
		{env("FALLBACK", "false"), nil},
		{env("TELEGRAM_SECRETS", "bot:t,123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"), []string{"GATEWAY_TELEGRAM_SECRETS, entry 2 has the form of a token from BotFather: expected the name of the bot, a colon and the secret_token that you give to setWebhook"}},
		{env("SYNC", "interval"), []string{"GATEWAY_SYNC is interval: a power cut can lose events that were answered 200"}},
		{env("META_APP_SECRET", "hunter2"), []string{"GATEWAY_META_APP_SECRET is not a setting, did you mean GATEWAY_META_APP_SECRETS?"}},
		{env("VERIFY_TOKEN", "hunter2"), []string{"GATEWAY_VERIFY_TOKEN is not a setting, did you mean GATEWAY_META_VERIFY_TOKEN?"}},
		{env("META_VERIFY_TOKENFILE", "x"), []string{"GATEWAY_META_VERIFY_TOKENFILE is not a setting, did you mean GATEWAY_META_VERIFY_TOKEN_FILE?"}},
		{env("DATA_DIR_FILE", "x"), []string{"GATEWAY_DATA_DIR_FILE is not a setting, did you mean GATEWAY_DATA_DIR?"}},
		{env("ZZZ", "1", "CAKE", "1"), []string{"GATEWAY_CAKE is not a setting", "GATEWAY_ZZZ is not a setting"}},
		{env("CAKE", ""), nil},
		{env("PORT", "9000"), []string{"GATEWAY_PORT is not a setting"}},
		{env("PORT", "tcp://10.0.0.1:8080", "SERVICE_HOST", "10.0.0.1", "SERVICE_PORT", "8080", "SERVICE_PORT_WEBHOOK", "8080",
			"PORT_8080_TCP", "tcp://10.0.0.1:8080", "PORT_8080_TCP_PROTO", "tcp", "PORT_8080_TCP_PORT", "8080", "PORT_8080_TCP_ADDR", "10.0.0.1",
			"NATS_SERVICE_HOST", "10.0.0.2", "NATS_PORT", "tcp://10.0.0.2:4222"), nil},
	}
	for _, test := range tests {
		setenv(t, test.env)
		s, err := Load()
		if err != nil {
			t.Errorf("%v: %v", test.env, err)
		}
		if got := s.Warnings(); !slices.Equal(got, test.want) {
			t.Errorf("%v\ngot  %q\nwant %q", test.env, got, test.want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"flaw", "lawn", 2}}
	for _, test := range tests {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
