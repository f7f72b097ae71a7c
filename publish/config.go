package publish

import (
	"cmp"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/schema"
)

// Config is what a [Publisher] needs to know. Each field names the setting that
// fills it.
type Config struct {
	// Servers are NATS URLs, comma-separated (GATEWAY_NATS_URL). Empty with InProcess.
	Servers string
	// InProcess is a server in this process, such as *embedded.Server; nil for Servers.
	InProcess nats.InProcessConnProvider

	Creds    string // GATEWAY_NATS_CREDS: path of a .creds file
	NKey     string // GATEWAY_NATS_NKEY: path of a file with a user's seed
	User     string // GATEWAY_NATS_USER
	Password string // GATEWAY_NATS_PASSWORD
	Token    string // GATEWAY_NATS_TOKEN, GATEWAY_EMBEDDED_TOKEN with InProcess
	CA       string // GATEWAY_NATS_CA: path of PEM certificates that the server's is checked against
	Cert     string // GATEWAY_NATS_CERT: path of the client's certificate, PEM
	Key      string // GATEWAY_NATS_KEY: path of its key, PEM
	// Secret, where there is one, is asked at each connect for what to log in with
	// instead of Password, or of Token without a User, so that it can be changed. It
	// has to return soon: the connection waits.
	Secret func() string

	// Root is the first part of all subjects (GATEWAY_SUBJECT_ROOT).
	Root string
	// Stream holds the events (GATEWAY_STREAM), <Stream>_DEADLETTER the dead letters.
	Stream string

	// The following are for streams that have to be created. An existing stream
	// keeps its own.

	// Replicas of the streams (GATEWAY_STREAM_REPLICAS). 0: 3 where the servers
	// form a JetStream cluster of at least that many, else 1.
	Replicas int
	// MaxAge is how long events are kept (GATEWAY_STREAM_MAX_AGE); 0: for ever.
	MaxAge time.Duration
	// MaxBytes is the most that the events take (GATEWAY_STREAM_MAX_BYTES). 0: half
	// of what is free below DataDir, no bound where the servers are elsewhere.
	MaxBytes int64
	// DuplicateWindow is how long an id is remembered (GATEWAY_DUPLICATE_WINDOW).
	DuplicateWindow time.Duration

	// AckTimeout is how long one attempt waits for its acknowledgement; 0: 1s.
	// Attempts are repeated until the context of Publish ends.
	AckTimeout time.Duration
	// DataDir is where an embedded server stores (GATEWAY_DATA_DIR): Ready asks for
	// free space there. Empty for servers elsewhere.
	DataDir string
	// Failed, where there is one, tells what is known to be wrong with the server
	// beside what it answers; nil while nothing is. Nothing is published then.
	Failed func() error
	// Sync, where there is one, makes durable what was written before it is called
	// (GATEWAY_SYNC=group): acknowledgements of the server are not enough then, and
	// one call serves all deliveries that wait. An error of it is final.
	Sync func() error
	// Check, where there is one, returns an error if what was written before it is called
	// is lost although the server has acknowledged it. It takes the place of Sync where
	// that is nil, and an error is as final; a Sync has to do the same by itself.
	Check func() error
	// Relayed says that a [Relay] moves on what is stored (GATEWAY_RELAY). Then
	// events that it has not moved yet are kept whatever their age.
	Relayed bool

	// Fallback publishes events that no durable consumer asks for once more, to the
	// stream <Stream>_UNCLAIMED (GATEWAY_FALLBACK).
	Fallback bool

	// Tracer makes a span of every Publish, and each message names it in the header
	// traceparent (GATEWAY_OTLP_ENDPOINT); nil for no tracing, which then costs nothing.
	Tracer trace.Tracer

	relay bool // this is the cluster that a Relay moves to
}

const defaultAckTimeout = time.Second

// deadLetterSuffix makes the name of the dead letters' stream from the events'.
const deadLetterSuffix = "_DEADLETTER"

func (c *Config) deadLetterStream() string { return c.Stream + deadLetterSuffix }

// eventSubjects and deadLetterSubjects are what the streams have to capture.
func (c *Config) eventSubjects() string { return c.Root + ".>" }

func (c *Config) deadLetterSubjects() string { return schema.DeadLetterRoot + c.Root + ".>" }

// prepare fills in defaults and finds what no server is needed to find. It shows
// no value that can hold a credential.
func (c *Config) prepare() error {
	c.AckTimeout = cmp.Or(c.AckTimeout, defaultAckTimeout)
	switch {
	case !server.IsValidLiteralSubject(c.Root):
		return faultf("GATEWAY_SUBJECT_ROOT %q is no subject: expected tokens joined by dots, such as postback.v1", c.Root)
	case c.Stream == "" || strings.ContainsAny(c.Stream, " \t\r\n.*>/\\"):
		return faultf("GATEWAY_STREAM %q is no name of a stream: expected no white space and none of . * > / \\", c.Stream)
	case c.InProcess == nil && len(c.servers()) == 0:
		return faultf("GATEWAY_NATS_URL: no server given")
	}
	for i, u := range c.servers() {
		if u == nil {
			return faultf("GATEWAY_NATS_URL: entry %d is no URL: expected one such as nats://host:4222 (special characters of a password are written %%XX)", i+1)
		}
	}
	if c.MaxBytes > 0 && c.MaxBytes < minStreamBytes {
		return faultf("GATEWAY_STREAM_MAX_BYTES %d is too small: expected at least %d", c.MaxBytes, minStreamBytes)
	}
	return c.boundByDisk()
}

// boundByDisk leaves half of the disk to others, and to what dead letters and
// the server's own files take.
func (c *Config) boundByDisk() error {
	if c.MaxBytes != 0 || c.DataDir == "" {
		return nil
	}
	free, err := freeSpace(c.DataDir)
	if err != nil {
		return faultf("GATEWAY_DATA_DIR: %w", err)
	}
	if free != unknownSpace { // the server refuses a bound that no disk has
		c.MaxBytes = max(int64(free/2), minStreamBytes) // a full disk bounds only a new stream
	}
	return nil
}

// unknownSpace is the free space on systems that cannot be asked for it.
const unknownSpace = math.MaxUint64

// servers returns the URLs; nil stands for one that cannot be read.
func (c *Config) servers() []*url.URL {
	var urls []*url.URL
	for entry := range strings.SplitSeq(c.Servers, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if !strings.Contains(entry, "://") {
			entry = "nats://" + entry
		}
		u, err := url.Parse(entry)
		if err != nil || u.Host == "" {
			u = nil
		}
		urls = append(urls, u)
	}
	return urls
}

// where names the servers for logs and errors. It leaves out all user
// information: a user without a password in a NATS URL is a token.
func (c *Config) where() string {
	if c.InProcess != nil {
		return "the embedded server"
	}
	var names []string
	for _, u := range c.servers() {
		names = append(names, u.Scheme+"://"+u.Host)
	}
	return strings.Join(names, ",")
}

// notYet is what cannot be done before the streams are there.
func (c *Config) notYet() string {
	if c.relay {
		return "events cannot be relayed yet"
	}
	return "events cannot be stored yet"
}
