package main

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
		{env("PUBLISH_TIMEOUT", "soon"), `PUBLISH_TIMEOUT: "soon" is no duration: expected a number with a unit, like 4s or 500ms`},
		{env("PUBLISH_TIMEOUT", "4"), `PUBLISH_TIMEOUT: "4" is no duration: expected a number with a unit, like 4s or 500ms`},
		{env("MAX_BODY_BYTES", "4MiB"), `MAX_BODY_BYTES: "4MiB" is no whole number: expected digits only, like 100`},
		{env("MAX_IN_FLIGHT", "99999999999999999999"), `MAX_IN_FLIGHT: "99999999999999999999" is out of range: expected a smaller whole number`},
		{env("INCLUDE_RAW", "yes"), `INCLUDE_RAW: "yes" is neither true nor false: expected one of them`},
		// Listeners.
		{env("LISTEN", "http://0.0.0.0:80"), `LISTEN: "http://0.0.0.0:80" is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("LISTEN", ":http"), `LISTEN: ":http" is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("LISTEN", " :80"), `LISTEN: " :80" is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("ADMIN_LISTEN", "off"), `ADMIN_LISTEN: "off" is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`},
		{env("EMBEDDED_LISTEN", "127.0.0.1:65536"), `EMBEDDED_LISTEN: "127.0.0.1:65536" is no address to listen on: expected host:port, like 127.0.0.1:8081 or :8080, or off`},
		// Secrets.
		{env("META_APP_SECRETS", ","), "META_APP_SECRETS: entry 1 is empty: expected app secrets separated by single commas\nMETA_APP_SECRETS: entry 2 is empty: expected app secrets separated by single commas"},
		{env("META_APP_SECRETS", "a, b"), `META_APP_SECRETS: entry 2 holds white space or invisible characters: expected the app secret as the App Dashboard shows it`},
		{env("META_APP_SECRETS", "  "), `META_APP_SECRETS: entry 1 holds white space or invisible characters: expected the app secret as the App Dashboard shows it`},
		{env("META_APP_SECRETS", "a\u200b"), `META_APP_SECRETS: entry 1 holds white space or invisible characters: expected the app secret as the App Dashboard shows it`},
		{env("ADMIN_TOKEN", "two words"), `ADMIN_TOKEN: holds white space or invisible characters: expected a token without them`},
		{env("META_VERIFY_TOKEN", "two words"), `META_VERIFY_TOKEN: holds white space or invisible characters: expected a token without them`},
		{env("EMBEDDED_TOKEN", "$2a$11$hunter2"), `EMBEDDED_TOKEN: looks like a bcrypt hash, which the server would compare with the hash of what it is given: expected the token itself`},
		{env("EMBEDDED_TOKEN", strings.Repeat("t", 1025)), `EMBEDDED_TOKEN: is too long: expected at most 1024 bytes`},
		{env("EMBEDDED_TOKEN", "t\t"), `EMBEDDED_TOKEN: holds white space or invisible characters: expected a token without them`},
		{env("TELEGRAM_SECRETS", "bot:t,"), `TELEGRAM_SECRETS: entry 2 is empty: expected bot:token pairs separated by single commas`},
		{env("TELEGRAM_SECRETS", "bot"), `TELEGRAM_SECRETS: entry 1 is no pair: expected bot:token`},
		{env("TELEGRAM_SECRETS", "my/bot:t"), `TELEGRAM_SECRETS: entry 1 begins with no name of a bot: expected bot:token with 1 to 128 letters, digits, _ and - as bot`},
		{env("TELEGRAM_SECRETS", "bot:123:ABC"), `TELEGRAM_SECRETS: entry 1 ends with no secret token: expected bot:token with 1 to 256 letters, digits, _ and - as token (the secret_token given to setWebhook, not the token of the bot)`},
		{env("META_VERIFY_TOKEN", "a", "META_VERIFY_TOKEN_FILE", file), `META_VERIFY_TOKEN: given twice: expected either this or GATEWAY_META_VERIFY_TOKEN_FILE`},
		{env("META_VERIFY_TOKEN_FILE", noFile), `META_VERIFY_TOKEN_FILE: "/no/such/file" cannot be read: no such file or directory`},
		{env("META_VERIFY_TOKEN_FILE", directory), `META_VERIFY_TOKEN_FILE: "/" cannot be read: is a directory`},
		{env("META_VERIFY_TOKEN_FILE", empty), `META_VERIFY_TOKEN_FILE: "` + empty + `" is empty: expected a file that holds the secret`},
		{env("META_VERIFY_TOKEN_FILE", "hunter2"), `META_VERIFY_TOKEN_FILE: what is given cannot be read: no such file or directory`},
		// NATS.
		{env("NATS_URL", "nats://a,"), `NATS_URL: entry 2 is empty: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "a:4222"), `NATS_URL: entry 1 is no URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a, nats://b"), `NATS_URL: entry 2 is no URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://u:hunter2@a:x"), `NATS_URL: entry 1 is no URL: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "http://u:hunter2@a:1"), `NATS_URL: entry 1 "http://u:***@a:1" has an unknown scheme: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://hunter2@:4222"), `NATS_URL: entry 1 "nats://***@:4222" has no host: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a?token=hunter2"), `NATS_URL: entry 1 "nats://a?***" has more than an address: expected a URL like nats://host:4222 (or tls, ws, wss)`},
		{env("NATS_URL", "nats://a,ws://b"), `NATS_URL: has both WebSocket and plain servers: expected one sort`},
		{env("NATS_CREDS", file), `NATS_CREDS: has no effect: expected GATEWAY_NATS_URL to be set too`},
		{env("NATS_TOKEN", "t"), `NATS_TOKEN: has no effect: expected GATEWAY_NATS_URL to be set too`},
		{cluster("NATS_USER", "u"), `NATS_PASSWORD: not set: expected it together with GATEWAY_NATS_USER`},
		{cluster("NATS_PASSWORD", "p"), `NATS_USER: not set: expected it together with GATEWAY_NATS_PASSWORD`},
		{cluster("NATS_USER", "u", "NATS_PASSWORD_FILE", noFile), `NATS_PASSWORD_FILE: "/no/such/file" cannot be read: no such file or directory`},
		{cluster("NATS_USER", "u", "NATS_PASSWORD", "p\nq"), `NATS_PASSWORD: holds a line break: expected one line`},
		{cluster("NATS_TOKEN", "t t"), `NATS_TOKEN: holds white space or invisible characters: expected a token without them`},
		{cluster("NATS_CREDS", file, "NATS_TOKEN", "t"), `NATS_TOKEN: is a second way to log in, beside GATEWAY_NATS_CREDS: expected one of them`},
		{cluster("NATS_NKEY", file, "NATS_USER", "u", "NATS_PASSWORD", "p"), `NATS_USER: is a second way to log in, beside GATEWAY_NATS_NKEY: expected one of them`},
		{cluster("NATS_CREDS", noFile), `NATS_CREDS: "/no/such/file" cannot be read: no such file or directory`},
		{cluster("NATS_NKEY", directory), `NATS_NKEY: "/" is a directory: expected a file`},
		{cluster("NATS_CA", noFile), `NATS_CA: "/no/such/file" cannot be read: no such file or directory`},
		{cluster("NATS_CERT", file), `NATS_KEY: not set: expected it together with GATEWAY_NATS_CERT`},
		{cluster("NATS_KEY", file), `NATS_CERT: not set: expected it together with GATEWAY_NATS_KEY`},
		{env("RELAY", "true"), `RELAY: has no effect: expected GATEWAY_NATS_URL to be set too`},
		// The stream.
		{env("SUBJECT_ROOT", "a.*"), `SUBJECT_ROOT: "a.*" is no subject: expected tokens of letters, digits, _ and - joined by dots`},
		{env("SUBJECT_ROOT", "$JS.a"), `SUBJECT_ROOT: "$JS.a" is no subject: expected tokens of letters, digits, _ and - joined by dots`},
		{env("SUBJECT_ROOT", "deadletter.v1"), `SUBJECT_ROOT: "deadletter.v1" is taken: expected the first token not to be deadletter`},
		{env("SUBJECT_ROOT", "unclaimed"), `SUBJECT_ROOT: "unclaimed" is taken: expected the first token not to be unclaimed`},
		{env("STREAM", "post.backs"), `STREAM: "post.backs" is no name of a stream: expected at most 240 bytes without white space and . * > / \`},
		{env("STREAM", strings.Repeat("S", 241)), `STREAM: "` + strings.Repeat("S", 241) + `" is no name of a stream: expected at most 240 bytes without white space and . * > / \`},
		{cluster("STREAM_REPLICAS", "6"), `STREAM_REPLICAS: "6" is out of range: expected 0 to 5`},
		{env("STREAM_REPLICAS", "-1"), `STREAM_REPLICAS: "-1" is out of range: expected 0 to 5`},
		{env("STREAM_REPLICAS", "3"), `STREAM_REPLICAS: "3" needs a cluster: expected 0 or 1, or GATEWAY_NATS_URL set`},
		{env("STREAM_MAX_AGE", "-1h"), `STREAM_MAX_AGE: "-1h0m0s" is too short: expected at least 1s, or 0 to keep events for ever`},
		{env("STREAM_MAX_AGE", "999ms"), "STREAM_MAX_AGE: \"999ms\" is too short: expected at least 1s, or 0 to keep events for ever"},
		{env("STREAM_MAX_AGE", "1h"), `DUPLICATE_WINDOW: "2h0m0s" is too long: expected at most GATEWAY_STREAM_MAX_AGE, which is 1h0m0s`},
		{env("STREAM_MAX_AGE", "soon", "DUPLICATE_WINDOW", "200h"), `STREAM_MAX_AGE: "soon" is no duration: expected a number with a unit, like 4s or 500ms`},
		{env("STREAM_MAX_BYTES", "-1"), `STREAM_MAX_BYTES: "-1" is too small: expected at least 1048576 bytes (1 MiB), or 0 for the default`},
		{env("STREAM_MAX_BYTES", "10"), `STREAM_MAX_BYTES: "10" is too small: expected at least 1048576 bytes (1 MiB), or 0 for the default`},
		{env("STREAM_MAX_BYTES", "1048575"), `STREAM_MAX_BYTES: "1048575" is too small: expected at least 1048576 bytes (1 MiB), or 0 for the default`},
		{env("DUPLICATE_WINDOW", "0"), `DUPLICATE_WINDOW: "0s" is too short: expected at least 1s`},
		{env("FALLBACK", "disk"), `FALLBACK: "disk" is unknown: expected true, false or off`},
		{env("SYNC", "never"), `SYNC: "never" is unknown: expected group, always or interval`},
		// Limits.
		{env("PUBLISH_TIMEOUT", "0s"), `PUBLISH_TIMEOUT: "0s" is too short: expected at least 100ms`},
		{env("PUBLISH_TIMEOUT", "99ms"), `PUBLISH_TIMEOUT: "99ms" is too short: expected at least 100ms`},
		{env("PUBLISH_TIMEOUT", "8s"), `PUBLISH_TIMEOUT: "8s" is too long: expected less than GATEWAY_SHUTDOWN_TIMEOUT, which is 8s`},
		{env("SHUTDOWN_TIMEOUT", "0"), `SHUTDOWN_TIMEOUT: "0s" is too short: expected at least 1s`},
		{env("SHUTDOWN_TIMEOUT", "999ms"), `SHUTDOWN_TIMEOUT: "999ms" is too short: expected at least 1s`},
		{env("MAX_BODY_BYTES", "268435457"), `MAX_BODY_BYTES: "268435457" is too large: expected at most 268435456`},
		{env("MAX_BODY_BYTES", "0"), `MAX_BODY_BYTES: "0" is too small: expected at least 512 bytes, which one click needs`},
		{env("MAX_BODY_BYTES", "511"), `MAX_BODY_BYTES: "511" is too small: expected at least 512 bytes, which one click needs`},
		{env("MAX_IN_FLIGHT", "0"), `MAX_IN_FLIGHT: "0" is too small: expected at least 1`},
		{env("MAX_IN_FLIGHT", "-5"), `MAX_IN_FLIGHT: "-5" is too small: expected at least 1`},
		{env("METRICS_PREFIX_LIMIT", "-1"), `METRICS_PREFIX_LIMIT: "-1" is too small: expected at least 0`},
		// TLS.
		{env("TLS_CERT", file), `TLS_KEY: not set: expected it together with GATEWAY_TLS_CERT`},
		{env("TLS_KEY", file), `TLS_CERT: not set: expected it together with GATEWAY_TLS_KEY`},
		{env("TLS_CLIENT_CA", file), `TLS_CLIENT_CA: has no effect: expected GATEWAY_TLS_CERT and GATEWAY_TLS_KEY to be set too`},
		{env("TLS_CERT", noFile, "TLS_KEY", directory), "TLS_CERT: \"/no/such/file\" cannot be read: no such file or directory\nTLS_KEY: \"/\" is a directory: expected a file"},
		// Logs and traces.
		{env("LOG_LEVEL", "trace"), `LOG_LEVEL: "trace" is unknown: expected debug, info, warn or error`},
		{env("LOG_FORMAT", "xml"), `LOG_FORMAT: "xml" is unknown: expected text or json`},
		{env("OTLP_ENDPOINT", "u:hunter2@localhost:4318"), `OTLP_ENDPOINT: "***" is no web address: expected a URL like http://localhost:4318`},
		{env("OTLP_ENDPOINT", "grpc://u:hunter2@localhost:4317"), `OTLP_ENDPOINT: "grpc://u:***@localhost:4317" is no web address: expected a URL like http://localhost:4318`},
		{env("OTLP_ENDPOINT", "https://localhost:4318/?key=hunter2"), `OTLP_ENDPOINT: "https://localhost:4318/?***" has more than an address: expected a URL like http://localhost:4318, and a key in OTEL_EXPORTER_OTLP_HEADERS`},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			setenv(t, test.env)
			_, err := loadSettings()
			want := envPrefix + strings.ReplaceAll(test.want, "\n", "\n"+envPrefix)
			if err == nil || err.Error() != want {
				t.Errorf("%v\ngot:  %v\nwant: %s", test.env, err, want)
			}
		})
	}
}

func env(pairs ...string) map[string]string {
	all := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

func cluster(pairs ...string) map[string]string {
	return env(append(pairs, "NATS_URL", "nats://localhost:4222")...)
}
