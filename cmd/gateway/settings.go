package main

import (
	"slices"
	"strings"
	"time"
)

// envPrefix begins the name of every setting's variable.
const envPrefix = "GATEWAY_"

// The values of the settings that are words.
const (
	off = "off" // EMBEDDED_LISTEN, FALLBACK

	syncGroup    = "group"
	syncAlways   = "always"
	syncInterval = "interval"
)

// settings is the whole configuration, one field per environment variable. The
// tags are also the manual: gateway config and docs/configuration.md are made
// of them. kind is the type to show where that of the field tells too little.
//
// envconfig tags hold the variable's full name. With a short one and a prefix,
// envconfig falls back to the short name: a NATS_URL or LOG_LEVEL that is in the
// environment for another program would configure the gateway.
type settings struct {
	Listen      string `envconfig:"GATEWAY_LISTEN" default:":8080" kind:"host:port" desc:"The public listener: the webhooks."`
	AdminListen string `envconfig:"GATEWAY_ADMIN_LISTEN" default:"127.0.0.1:8081" kind:"host:port" desc:"The admin listener: metrics, health, profiles. Not for the public. On a loopback address it accepts only the hosts localhost and 127.0.0.1."`
	AdminToken  secret `envconfig:"GATEWAY_ADMIN_TOKEN" ignored:"true" desc:"Token that the admin listener asks for (Authorization: Bearer) where it is not on a loopback address, except for /metrics, /healthz and /readyz. Without one the rest answers 403 there."`
	DataDir     string `envconfig:"GATEWAY_DATA_DIR" default:"./data" kind:"path" desc:"Where the embedded server stores events, and where secrets are kept that the gateway made itself. It belongs to one process."`

	MetaAppSecrets    []secret `envconfig:"GATEWAY_META_APP_SECRETS" ignored:"true" desc:"App secrets from Meta's App Dashboard. A delivery has to be signed with any of them: list the old and the new one while you change it. Without one a random secret is made and kept in the data directory."`
	MetaVerifyToken   secret   `envconfig:"GATEWAY_META_VERIFY_TOKEN" ignored:"true" desc:"The verify token that you enter in the App Dashboard together with the callback URL. Without one a random token is made and kept in the data directory."`
	MetaAllowUnsigned bool     `envconfig:"GATEWAY_META_ALLOW_UNSIGNED" default:"false" desc:"Accept deliveries without a signature. For tests only: anyone can post events then."`
	TelegramSecrets   []secret `envconfig:"GATEWAY_TELEGRAM_SECRETS" ignored:"true" kind:"list of secret bot:token" desc:"For each bot its name, which stands in the webhook's path and in subjects, and the secret_token given to setWebhook. A bot may be listed more than once while its token changes. A bot that is not listed is answered 404."`

	NATSURL      []secretURL `envconfig:"GATEWAY_NATS_URL" ignored:"true" desc:"Servers of a NATS cluster to store events in, like nats://a:4222,nats://b:4222. Without it the gateway runs a NATS server of its own."`
	NATSCreds    string      `envconfig:"GATEWAY_NATS_CREDS" kind:"path" desc:"Credentials file (.creds) for NATS."`
	NATSNkey     string      `envconfig:"GATEWAY_NATS_NKEY" kind:"path" desc:"File with an nkey seed for NATS."`
	NATSUser     string      `envconfig:"GATEWAY_NATS_USER" desc:"User name for NATS."`
	NATSPassword secret      `envconfig:"GATEWAY_NATS_PASSWORD" ignored:"true" desc:"Password for NATS."`
	NATSToken    secret      `envconfig:"GATEWAY_NATS_TOKEN" ignored:"true" desc:"Token for NATS."`
	NATSCA       string      `envconfig:"GATEWAY_NATS_CA" kind:"path" desc:"Certificates (PEM) of the authorities that NATS servers are trusted by, instead of the system's."`
	NATSCert     string      `envconfig:"GATEWAY_NATS_CERT" kind:"path" desc:"Client certificate (PEM) for NATS."`
	NATSKey      string      `envconfig:"GATEWAY_NATS_KEY" kind:"path" desc:"Key (PEM) of the client certificate."`

	EmbeddedListen string `envconfig:"GATEWAY_EMBEDDED_LISTEN" default:"127.0.0.1:4222" kind:"host:port or off" desc:"Where the embedded NATS server listens for consumers; off keeps it inside the process."`
	EmbeddedToken  secret `envconfig:"GATEWAY_EMBEDDED_TOKEN" ignored:"true" desc:"Token that consumers have to present to the embedded server."`
	Relay          bool   `envconfig:"GATEWAY_RELAY" default:"false" desc:"Store in the embedded server first, and move events on to the servers of GATEWAY_NATS_URL, in order and however long those are away. A delivery is answered 200 when its events are on this machine's disk."`

	SubjectRoot     string        `envconfig:"GATEWAY_SUBJECT_ROOT" default:"postback.v1" desc:"What all subjects begin with."`
	Stream          string        `envconfig:"GATEWAY_STREAM" default:"POSTBACKS" desc:"Name of the stream; dead letters go to the stream of that name with _DEADLETTER behind it. A missing stream is created, an existing one never altered."`
	StreamReplicas  int           `envconfig:"GATEWAY_STREAM_REPLICAS" default:"0" desc:"Copies of the stream when it is created, at most 5. 0 is 3 where the servers form a cluster, else 1."`
	StreamMaxAge    time.Duration `envconfig:"GATEWAY_STREAM_MAX_AGE" default:"168h" desc:"How long events are kept; 0 for ever. With GATEWAY_RELAY the embedded server keeps longer what is not relayed yet."`
	StreamMaxBytes  int64         `envconfig:"GATEWAY_STREAM_MAX_BYTES" default:"0" kind:"bytes" desc:"Bound of the events' stream. Near it the oldest events that every durable consumer has acknowledged are purged; a stream that is full of others refuses. 0 is half of the free disk for the embedded server, and no bound in a cluster. With GATEWAY_RELAY it is the embedded server's."`
	DuplicateWindow time.Duration `envconfig:"GATEWAY_DUPLICATE_WINDOW" default:"2h" desc:"How long a repeated delivery is recognised. At most the time that events are kept."`
	Sync            string        `envconfig:"GATEWAY_SYNC" default:"group" kind:"group, always or interval" desc:"When the embedded server's events reach the disk. group: before a delivery is answered, by a sync that serves all deliveries that wait. always: by a sync for each event. interval: once a second, and a power cut loses what came since, maybe all."`
	PublishTimeout  time.Duration `envconfig:"GATEWAY_PUBLISH_TIMEOUT" default:"4s" desc:"How long a delivery waits for the store before it is answered 503."`

	MaxBodyBytes int64 `envconfig:"GATEWAY_MAX_BODY_BYTES" default:"4194304" kind:"bytes" desc:"Largest delivery that is read, at most 256 MiB; a larger one is answered 413."`
	MaxInFlight  int   `envconfig:"GATEWAY_MAX_IN_FLIGHT" default:"512" desc:"Deliveries worked on at the same time; further ones are answered 503."`
	IncludeRaw   bool  `envconfig:"GATEWAY_INCLUDE_RAW" default:"false" desc:"Add the platform's own item to each event as data.raw."`

	TLSCert     string `envconfig:"GATEWAY_TLS_CERT" kind:"path" desc:"Certificate chain (PEM) of the public listener. Read again when the file changes."`
	TLSKey      string `envconfig:"GATEWAY_TLS_KEY" kind:"path" desc:"Key (PEM) of that certificate."`
	TLSClientCA string `envconfig:"GATEWAY_TLS_CLIENT_CA" kind:"path" desc:"Certificates (PEM) of the authorities that have to have signed a caller's certificate; without one the handshake is refused. For Meta alone: Telegram has none. Read again when the file changes."`

	MetricsPrefixLimit int           `envconfig:"GATEWAY_METRICS_PREFIX_LIMIT" default:"100" desc:"Prefixes that get a series of their own in metrics; further ones are counted as other."`
	LogLevel           string        `envconfig:"GATEWAY_LOG_LEVEL" default:"info" kind:"debug, info, warn or error" desc:"Least important log lines that are written."`
	LogFormat          string        `envconfig:"GATEWAY_LOG_FORMAT" kind:"text or json" desc:"Form of log lines. Not set: text on a terminal, else json."`
	ShutdownTimeout    time.Duration `envconfig:"GATEWAY_SHUTDOWN_TIMEOUT" default:"8s" desc:"How long a stop may take after a signal, all together. Container runtimes kill after 10 seconds unless their grace period is set: it has to be longer than this. Requests under way have three quarters of it."`
	Fallback           string        `envconfig:"GATEWAY_FALLBACK" default:"off" kind:"true, false or off" desc:"Publish each event that no durable consumer asks for once more, to unclaimed.<subject> in the stream of that name with _UNCLAIMED behind it, for one service that answers what nobody else does. Consumers of everything do not count."`
	OTLPEndpoint       secretURL     `envconfig:"GATEWAY_OTLP_ENDPOINT" ignored:"true" desc:"Where traces are sent to with OTLP over HTTP, like http://localhost:4318; /v1/traces is added where the URL has no path. A login in it is sent as Basic authentication. Not set: no tracing."`

	unknown     []string      // warnings about variables that are no settings
	secretFiles []secretFile  // of the secrets that were given as files
	rereadEvery time.Duration // of files that change; 0 is rereadInterval
}

// secretFile is where the secret of a variable stands.
type secretFile struct{ variable, path string }

// embedded tells whether the gateway runs a NATS server of its own.
func (s *settings) embedded() bool { return len(s.NATSURL) == 0 || s.Relay }

// problem is one thing that is wrong with one variable.
type problem struct{ variable, text string }

// problems is everything that is wrong with the configuration, as one error
// with a line for each.
type problems []problem

// Error implements error.
func (p problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.variable + ": " + one.text
	}
	return strings.Join(lines, "\n")
}

// about returns the problems with the variables named, without envPrefix.
func (p problems) about(names ...string) problems {
	return slices.DeleteFunc(slices.Clone(p), func(one problem) bool {
		name := strings.TrimPrefix(one.variable, envPrefix)
		return !slices.Contains(names, name) && !slices.Contains(names, strings.TrimSuffix(name, fileSuffix))
	})
}

// err returns p as an error, nil where there is no problem.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
