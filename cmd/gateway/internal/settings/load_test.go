package settings

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	setenv(t, nil)
	got, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Listen: ":8080", AdminListen: "127.0.0.1:8081", DataDir: "./data",
		EmbeddedListen: "127.0.0.1:4222",
		SubjectRoot:    "postback.v1", Stream: "POSTBACKS", StreamMaxAge: 168 * time.Hour,
		DuplicateWindow: 2 * time.Hour, Sync: "group", PublishTimeout: 4 * time.Second,
		MaxBodyBytes: 4 << 20, MaxInFlight: 256, MetricsPrefixLimit: 100,
		LogLevel: "info", ShutdownTimeout: 8 * time.Second, Fallback: "off", ForwardMaxAge: 36 * time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if w := got.Warnings(); len(w) != 0 {
		t.Errorf("warnings without a configuration: %q", w)
	}
}

func TestGoodSettings(t *testing.T) {
	file := writeFile(t, "x")
	tests := map[string]map[string]string{
		"IPv6 and all addresses":      {"LISTEN": "[::1]:80", "ADMIN_LISTEN": "0.0.0.0:0"},
		"no listener of NATS":         {"EMBEDDED_LISTEN": "off"},
		"two app secrets":             {"META_APP_SECRETS": "0123456789abcdef0123456789abcdef,s3cr=t+/"},
		"a cluster":                   {"NATS_URL": "nats://a:4222,tls://u:p%40ss@b", "STREAM_REPLICAS": "3"},
		"a cluster by WebSocket":      {"NATS_URL": "wss://a:443,ws://b/nats"},
		"a cluster with credentials":  {"NATS_URL": "nats://a", "NATS_CREDS": file, "NATS_CA": file, "NATS_CERT": file, "NATS_KEY": file},
		"a cluster with an nkey":      {"NATS_URL": "nats://a", "NATS_NKEY": file},
		"a cluster with a password":   {"NATS_URL": "nats://a", "NATS_USER": "u", "NATS_PASSWORD": "p w,:"},
		"a cluster with a token":      {"NATS_URL": "nats://a", "NATS_TOKEN": "t"},
		"events for ever":             {"STREAM_MAX_AGE": "0", "DUPLICATE_WINDOW": "2000h"},
		"a window of the whole age":   {"STREAM_MAX_AGE": "1h", "DUPLICATE_WINDOW": "1h"},
		"the smallest bounds":         {"STREAM_MAX_BYTES": "1048576", "STREAM_MAX_AGE": "1s", "DUPLICATE_WINDOW": "1s", "PUBLISH_TIMEOUT": "100ms", "SHUTDOWN_TIMEOUT": "1s", "MAX_BODY_BYTES": "512", "MAX_IN_FLIGHT": "1"},
		"a root of one token":         {"SUBJECT_ROOT": "clicks"},
		"a root that begins likewise": {"SUBJECT_ROOT": "deadletters.v1"},
		"a stream's longest name":     {"STREAM": strings.Repeat("S", 240)},
		"sync for each event":         {"SYNC": "always"},
		"TLS":                         {"TLS_CERT": file, "TLS_KEY": file},
		"no series of prefixes":       {"METRICS_PREFIX_LIMIT": "0"},
		"logs":                        {"LOG_LEVEL": "debug", "LOG_FORMAT": "json"},
		"existing bots":               {"FORWARD": "meta=https://bot.internal/hook?a=b,telegram/shop_bot=http://u:p@[::1]:8443/x", "TELEGRAM_SECRETS": "shop_bot:t"},
		"a host with one port":        {"HEALTH_PATH": "/health", "TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8"},
		"switches":                    {"INCLUDE_RAW": "1", "META_ALLOW_UNSIGNED": "TRUE", "RELAY": "false"},
	}
	for name, env := range tests {
		t.Run(name, func(t *testing.T) {
			setenv(t, env)
			if _, err := Load(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEmptyCountsAsNotSet(t *testing.T) {
	env := make(map[string]string)
	for _, v := range new(Settings).variables() {
		env[strings.TrimPrefix(v.name, Prefix)] = ""
		env[strings.TrimPrefix(v.name, Prefix)+fileSuffix] = ""
	}
	setenv(t, env)
	got, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if _, still := os.LookupEnv("GATEWAY_LISTEN"); !still {
		t.Error("loadSettings changed the environment")
	}
	setenv(t, nil)
	if want, _ := Load(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// envconfig looks for a variable's short name too, where it is told one.
func TestVariablesOfOtherProgramsAreNotRead(t *testing.T) {
	setenv(t, nil)
	want, _ := Load()
	for _, v := range new(Settings).variables() {
		t.Setenv(strings.TrimPrefix(v.name, Prefix), "1")
	}
	got, err := Load()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	tests := []struct{ content, want string }{
		{"s3cret", "s3cret"},
		{"s3cret\n", "s3cret"},
		{"s3cret\r\n", "s3cret"},
		{" s3cret \n\n", " s3cret \n"},
	}
	for _, test := range tests {
		got, err := readSecretFile(writeFile(t, test.content))
		if err != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.content, got, err, test.want)
		}
	}
	setenv(t, map[string]string{
		"META_APP_SECRETS_FILE":  writeFile(t, "old,new\n"),
		"META_VERIFY_TOKEN_FILE": writeFile(t, "token"),
		"NATS_URL":               "nats://a",
		"NATS_USER":              "u",
		"NATS_PASSWORD_FILE":     writeFile(t, "a,b\n"),
		"EMBEDDED_TOKEN_FILE":    writeFile(t, "e\n"),
	})
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	got := append(RevealAll(s.MetaAppSecrets), s.MetaVerifyToken.Reveal(), s.NATSPassword.Reveal(), s.EmbeddedToken.Reveal())
	if want := []string{"old", "new", "token", "a,b", "e"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEverythingWrongIsReportedAtOnceInTheOrderOfTheManual(t *testing.T) {
	setenv(t, map[string]string{
		"SHUTDOWN_TIMEOUT":       "later",
		"PUBLISH_TIMEOUT":        "30s", // no match for the default shutdown, but that is not what was asked for
		"MAX_IN_FLIGHT":          "many",
		"INCLUDE_RAW":            "perhaps",
		"META_APP_SECRETS":       "hunter2,,hunter 3",
		"META_VERIFY_TOKEN_FILE": "/no/such/file",
		"LISTEN":                 "8080",
		"RELAY":                  "true",
	})
	_, err := Load()
	want := strings.Join([]string{
		`GATEWAY_LISTEN: "8080" is not an address to listen on: expected host:port, like 127.0.0.1:8081 or :8080`,
		`GATEWAY_META_APP_SECRETS: entry 2 is empty: expected entries separated by single commas`,
		`GATEWAY_META_APP_SECRETS: entry 3 contains white space or invisible characters: expected a value without them`,
		`GATEWAY_META_VERIFY_TOKEN_FILE: "/no/such/file" cannot be read: no such file or directory`,
		`GATEWAY_RELAY: has no effect: expected GATEWAY_NATS_URL to be set too`,
		`GATEWAY_MAX_IN_FLIGHT: "many" is not a whole number: expected only digits, like 100`,
		`GATEWAY_INCLUDE_RAW: "perhaps" is neither true nor false: expected one of them`,
		`GATEWAY_SHUTDOWN_TIMEOUT: "later" is not a duration: expected a number with a unit, like 4s or 500ms`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestLoadOnlyReportsOnlyWhatIsNeeded(t *testing.T) {
	setenv(t, map[string]string{"SUBJECT_ROOT": "a..b", "LISTEN": "x", "NATS_TOKEN_FILE": "/no/such/file"})
	tests := map[string]string{
		"GATEWAY_STREAM":       "",
		"GATEWAY_NATS_C*":      "",
		"GATEWAY_SUBJECT_ROOT": `GATEWAY_SUBJECT_ROOT: "a..b" is not a subject: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX`,
		"GATEWAY_NATS_*":       `GATEWAY_NATS_TOKEN_FILE: "/no/such/file" cannot be read: no such file or directory`,
	}
	for name, want := range tests {
		_, err := LoadOnly(name)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestFileSizeLimit: a wrong path, such as that of a disk, does not take all memory.
func TestFileSizeLimit(t *testing.T) {
	path := writeFile(t, "a")
	if err := os.Truncate(path, 1<<41); err != nil {
		t.Skip(err)
	}
	if _, err := readSecretFile(path); err == nil || !strings.Contains(err.Error(), "is too large: expected at most 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestPort(t *testing.T) {
	for _, test := range []struct{ port, listen, want string }{
		{"9000", "", ":9000"},
		{"9000", "127.0.0.1:80", "127.0.0.1:80"},
		{"", "", ":8080"},
	} {
		setenv(t, map[string]string{"LISTEN": test.listen})
		t.Setenv("PORT", test.port)
		s, err := Load()
		if err != nil || s.Listen != test.want {
			t.Errorf("PORT=%s GATEWAY_LISTEN=%s: got %s, %v; want %s", test.port, test.listen, s.Listen, err, test.want)
		}
	}
	t.Setenv("PORT", "tcp://10.0.0.1:80")
	if _, err := Load(); err == nil {
		t.Error("a PORT that is not a port is accepted")
	}
}
