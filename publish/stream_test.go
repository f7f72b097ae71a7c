package publish_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

func TestStreamsAreCreated(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 1 << 30
	mustOpen(t, cfg)
	js := natstest.JetStream(t, "", inProcess(cfg))
	events, letters := info(t, js, "POSTBACKS").Config, info(t, js, "POSTBACKS_DEADLETTER").Config
	if events.Subjects[0] != "postback.v1.>" || events.Discard != jetstream.DiscardNew || events.MaxBytes != 1<<30 {
		t.Errorf("events: %+v", events)
	}
	if letters.Subjects[0] != "deadletter.postback.v1.>" || letters.Discard != jetstream.DiscardOld || letters.MaxBytes != 1<<30/10 {
		t.Errorf("dead letters: %+v", letters)
	}
	for _, c := range []jetstream.StreamConfig{events, letters} {
		if c.Storage != jetstream.FileStorage || c.Retention != jetstream.LimitsPolicy || c.MaxAge != time.Hour ||
			c.Duplicates != time.Hour || !c.AllowDirect || c.Replicas != 1 {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
}

func TestFullDeadLetterStreamRefusesNothing(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 4 << 20
	p := mustOpen(t, cfg)
	const n = 25
	for i := range n {
		body := strings.Repeat("x", 900<<10) + string(rune('A'+i))
		if got := mustPublish(t, p, rubbish(body)); got[0] != schema.Rejected {
			t.Fatalf("dead letter %d: %s", i, got[0])
		}
	}
	js := natstest.JetStream(t, "", inProcess(cfg))
	if state := info(t, js, "POSTBACKS_DEADLETTER").State; state.Msgs == n || state.LastSeq != n {
		t.Errorf("the stream was not filled: %+v", state)
	}
}

func TestExistingStream(t *testing.T) {
	defaults := testConfig()
	good := defaults.Settings.Config(stream.Events)
	good.Replicas = 1
	const mend = ": change it, or use another one"
	tests := []struct {
		name   string
		change func(*jetstream.StreamConfig)
		want   string // empty: accepted
	}{
		{"as it would be created", func(*jetstream.StreamConfig) {}, ""},
		{"wider", func(c *jetstream.StreamConfig) { c.Subjects = []string{"other", "postback.>"} }, ""},
		{"wildcard tokens", func(c *jetstream.StreamConfig) { c.Subjects = []string{"postback.*.>"} }, ""},
		{"work queue", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, ""},
		{"other subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"orders.>"} },
			"stream POSTBACKS captures orders.>, expected postback.v1.>: use a stream that captures it or that does not exist yet, or a subject root that this one captures"},
		{"a part of the subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"postback.v1.messenger.>", "postback.v1.*"} },
			"stream POSTBACKS captures postback.v1.messenger.>, postback.v1.*, expected postback.v1.>: use a stream that captures it or that does not exist yet, or a subject root that this one captures"},
		{"mirror", func(c *jetstream.StreamConfig) {
			c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: "ELSEWHERE"}
		},
			"stream POSTBACKS captures nothing (it mirrors ELSEWHERE), expected postback.v1.>: use a stream that captures it or that does not exist yet, or a subject root that this one captures"},
		{"no ack", func(c *jetstream.StreamConfig) { c.NoAck = true }, "stream POSTBACKS does not acknowledge (no_ack)" + mend},
		{"memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "stream POSTBACKS is kept in memory only" + mend},
		{"asynchronous", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
			"stream POSTBACKS acknowledges before it has written (persist_mode async)" + mend},
		{"interest", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
			"stream POSTBACKS drops events that no consumer is there for (interest retention)" + mend},
		{"drops at no limit", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, ""},
		{"refuses more of a subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 2, true },
			"stream POSTBACKS rejects further events of a subject (max_msgs_per_subject, discard_new_per_subject)" + mend},
		{"young, but not too young", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 5*time.Minute, time.Minute }, ""},
		{"too young", func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 4*time.Minute, time.Minute },
			"stream POSTBACKS drops events when they are 4m0s old (max_age), expected at least 5m0s" + mend},
		{"drops its oldest, by bytes", func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<30 },
			"stream POSTBACKS drops its oldest events at its limits, whether or not they were consumed (discard old)" + mend},
		{"drops its oldest, by number", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 10 },
			"stream POSTBACKS drops its oldest events at its limits, whether or not they were consumed (discard old)" + mend},
		{"newest of each subject", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgsPerSubject = jetstream.DiscardOld, 1 },
			"stream POSTBACKS drops all but the newest events of each subject (max_msgs_per_subject)" + mend},
		{"other subjects in store", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "postback.>", Destination: "postback.v1.gone.>"}
		}, "stream POSTBACKS stores events under other subjects (subject_transform)" + mend},
		{"tiny messages", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 },
			"stream POSTBACKS takes only messages that are too small (max_msg_size)" + mend},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			js := natstest.JetStream(t, "", inProcess(cfg))
			existing := good
			tt.change(&existing)
			if _, err := js.CreateStream(t.Context(), existing); err != nil {
				t.Fatal(err)
			}
			before := info(t, js, "POSTBACKS").Config
			if tt.want == "" {
				mustPublish(t, mustOpen(t, cfg), clicks("m", 2)...)
			} else if got := openError(t, cfg); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if after := info(t, js, "POSTBACKS").Config; after.Discard != before.Discard || after.MaxAge != before.MaxAge {
				t.Errorf("the existing stream was altered: %+v", after)
			}
		})
	}
}

func TestSealedStream(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c := cfg.Settings.Config(stream.Events)
	c.Replicas = 1
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Sealed = true
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := openError(t, cfg); got != "stream POSTBACKS is sealed and takes no events: change it, or use another one" {
		t.Error(got)
	}
}

func TestSubjectsOfAnotherStream(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CLICKS", Subjects: []string{"postback.v1.messenger.>"}}); err != nil {
		t.Fatal(err)
	}
	want := "stream POSTBACKS cannot be created: CLICKS captures subjects of postback.v1.> already: use that stream, or another subject root"
	if got := openError(t, cfg); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestStreamThatCannotBeCreated(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"replicas", func(c *Config) { c.Replicas = 3 }, "use 0 or 1"},
		{"window", func(c *Config) { c.DuplicateWindow = 2 * c.MaxAge }, "duplicate window"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			tt.change(&cfg)
			if got := openError(t, cfg); !strings.Contains(got, "stream POSTBACKS cannot be created") || !strings.Contains(got, tt.want) {
				t.Error(got)
			}
		})
	}
}

func TestDifferingStreamIsLoggedOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	js := natstest.JetStream(t, "", inProcess(cfg))
	c := cfg.Settings.Config(stream.Events)
	c.Replicas, c.Duplicates = 1, time.Minute
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p, log := mustOpenWith(t, cfg, nil)
	if err := js.DeleteStream(t.Context(), "POSTBACKS_DEADLETTER"); err != nil {
		t.Fatal(err)
	}
	p.Monitor().Conn.Wake()
	eventually(t, "the streams are checked again", func() bool {
		_, err := js.Stream(t.Context(), "POSTBACKS_DEADLETTER")
		return err == nil
	})
	const want = "stream_window=1m0s configured_window=1h0m0s"
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("%q is logged %d times, want once:\n%s", want, n, log)
	}
}

func TestBadConfiguration(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		field  string
		want   string
	}{
		{"partitions", func(c *Config) { c.Partitions = 65 }, "Partitions", "65 is out of range: expected 0 to 64"},
		{"less than none", func(c *Config) { c.Partitions = -1 }, "Partitions", "-1 is out of range: expected 0 to 64"},
		{"root", func(c *Config) { c.Root = "a.>" }, "Root", `"a.>" is not a subject: expected tokens joined by dots, such as postback.v1`},
		{"stream", func(c *Config) { c.Stream = "a.b" }, "Stream", `"a.b" is not a name of a stream: expected no white space and none of . * > / \`},
		{"size", func(c *Config) { c.MaxBytes = 10 }, "MaxBytes", "10 is too small: expected at least 8192"},
		{"no server", func(c *Config) { c.Servers = " , " }, "Servers", "no server given"},
		{"no URL", func(c *Config) { c.Servers = "nats://ok:4222,nats://me:s3cr%t@host" },
			"Servers", "entry 2 is not a URL: expected one such as nats://host:4222 (special characters of a password are written %XX)"},
		{"creds", func(c *Config) { c.Creds = "/nowhere/x" }, "Creds", "/nowhere/x is not a credentials file: open /nowhere/x: no such file or directory"},
		{"nkey", func(c *Config) { c.NKey = "/dev/null" }, "NKey", "/dev/null is not a file with a user's seed: nkeys: no nkey seed found"},
		{"CA", func(c *Config) { c.CA = "/dev/null" }, "CA", `nats: failed to parse root certificate from "/dev/null"`},
		{"cert", func(c *Config) { c.Cert = "/dev/null" }, "Cert", "nats: error loading client certificate: open : no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Servers = "nats://127.0.0.1:1"
			tt.change(&cfg)
			_, err := publish.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
			var wrong *publish.ConfigError
			if !errors.As(err, &wrong) || wrong.Field != tt.field || err.Error() != tt.want {
				t.Errorf("\n got %v about %+v\nwant %s about %s", err, wrong, tt.want, tt.field)
			}
		})
	}
}

// mustDeleteStream deletes a stream, which the gateway soon makes again.
func mustDeleteStream(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	if err := js.DeleteStream(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatal(err)
	}
}

// replaceStream puts the stream OTHER in the place of POSTBACKS, unless the gateway makes
// POSTBACKS again in between.
func replaceStream(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	mustDeleteStream(t, js, "POSTBACKS")
	_, _ = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"postback.>"}})
}
