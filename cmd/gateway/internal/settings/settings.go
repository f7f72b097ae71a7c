package settings

import "time"

// Prefix begins the name of every variable.
const Prefix = "GATEWAY_"

// Values of settings that are words.
const (
	Off          = "off" // GATEWAY_EMBEDDED_LISTEN, GATEWAY_FALLBACK
	SyncGroup    = "group"
	SyncAlways   = "always"
	SyncInterval = "interval"
)

// Settings is the whole configuration. The tags of a field are
//
//	envconfig  the name of the variable
//	default    the value if the variable is not set or empty
//	format     what the value is, and how it is checked: a name in formats
//	oneof      the words that are allowed
//	min, max   bounds of a number or a duration; of a text, its length in bytes
//	zero       0 is allowed, whatever the bounds
//	desc       the meaning, for gateway config and docs/configuration.md
//	ignored    envconfig must not read it: its errors would show the secret
//
// envconfig has the full name: with a prefix and a short one it falls back to the short
// one, and a NATS_URL or LOG_LEVEL of another program would configure the gateway.
type Settings struct {
	Listen      string `envconfig:"GATEWAY_LISTEN" default:":8080" format:"address" desc:"The public listener: the webhooks. If this is not set and PORT is, as on many hosts, it is :PORT."`
	AdminListen string `envconfig:"GATEWAY_ADMIN_LISTEN" default:"127.0.0.1:8081" format:"address" desc:"The admin listener: the console, metrics, health, profiles. Do not make it public. On a loopback address it accepts only the hosts localhost and 127.0.0.1."`
	AdminToken  Secret `envconfig:"GATEWAY_ADMIN_TOKEN" ignored:"true" format:"token" desc:"Token that the admin listener requires (Authorization: Bearer, or the login page of the console) if it is not on a loopback address, except for /metrics, /healthz and /readyz. Without a token everything else is answered 403 there."`
	DataDir     string `envconfig:"GATEWAY_DATA_DIR" default:"./data" format:"directory" desc:"Where the embedded server stores events, and where the gateway keeps the secrets that it generated. Only one process can use it."`

	MetaAppSecrets    []Secret `envconfig:"GATEWAY_META_APP_SECRETS" ignored:"true" format:"token" desc:"App secrets from Meta's App Dashboard. A delivery must be signed with one of them: list the old and the new one while you change it. Without any, a random secret is generated and kept in the data directory."`
	MetaVerifyToken   Secret   `envconfig:"GATEWAY_META_VERIFY_TOKEN" ignored:"true" format:"token" desc:"The verify token that you enter in the App Dashboard together with the callback URL. Without one, a random token is generated and kept in the data directory."`
	MetaAllowUnsigned bool     `envconfig:"GATEWAY_META_ALLOW_UNSIGNED" default:"false" desc:"Accept deliveries without a signature. For tests only: anyone can post events then."`
	TelegramSecrets   []Secret `envconfig:"GATEWAY_TELEGRAM_SECRETS" ignored:"true" format:"bot:token" desc:"For each bot its name, which is part of the webhook's path and of subjects, and the secret_token given to setWebhook. You can list a bot twice while its token changes. A bot that is not listed is answered 404."`

	NATSURL      []Secret `envconfig:"GATEWAY_NATS_URL" ignored:"true" format:"nats" desc:"Servers of a NATS cluster to store events in, like nats://a:4222,nats://b:4222. Without it the gateway runs its own NATS server."`
	NATSCreds    string   `envconfig:"GATEWAY_NATS_CREDS" format:"file" desc:"Credentials file (.creds) for NATS."`
	NATSNkey     string   `envconfig:"GATEWAY_NATS_NKEY" format:"file" desc:"File with an nkey seed for NATS."`
	NATSUser     string   `envconfig:"GATEWAY_NATS_USER" desc:"User name for NATS."`
	NATSPassword Secret   `envconfig:"GATEWAY_NATS_PASSWORD" ignored:"true" format:"line" desc:"Password for NATS."`
	NATSToken    Secret   `envconfig:"GATEWAY_NATS_TOKEN" ignored:"true" format:"token" desc:"Token for NATS."`
	NATSCA       string   `envconfig:"GATEWAY_NATS_CA" format:"file" desc:"Certificates (PEM) of the authorities that NATS servers are trusted by, instead of the system's."`
	NATSCert     string   `envconfig:"GATEWAY_NATS_CERT" format:"file" desc:"Client certificate (PEM) for NATS."`
	NATSKey      string   `envconfig:"GATEWAY_NATS_KEY" format:"file" desc:"Key (PEM) of the client certificate."`

	EmbeddedListen string `envconfig:"GATEWAY_EMBEDDED_LISTEN" default:"127.0.0.1:4222" format:"address or off" desc:"Where the embedded NATS server listens for consumers; off keeps it inside the process."`
	EmbeddedToken  Secret `envconfig:"GATEWAY_EMBEDDED_TOKEN" ignored:"true" format:"plain token" max:"1024" desc:"Token that consumers must present to the embedded server."`
	Relay          bool   `envconfig:"GATEWAY_RELAY" default:"false" desc:"Store events in the embedded server first and relay them to the servers of GATEWAY_NATS_URL in order, however long those are unreachable. A delivery is answered 200 when its events are on this machine's disk."`

	SubjectRoot     string        `envconfig:"GATEWAY_SUBJECT_ROOT" default:"postback.v1" format:"subject" desc:"The beginning of all subjects."`
	Partitions      int           `envconfig:"GATEWAY_PARTITIONS" default:"0" min:"0" max:"64" desc:"Adds a last token p0, p1 … to the subjects of events, one of this many, always the same for one person. Several processes can then share the events and keep each person's in order. 0 adds no token."`
	Stream          string        `envconfig:"GATEWAY_STREAM" default:"POSTBACKS" format:"stream" max:"240" desc:"Name of the stream; dead letters go to the stream of that name with _DEADLETTER appended. A missing stream is created, an existing one is never altered."`
	StreamReplicas  int           `envconfig:"GATEWAY_STREAM_REPLICAS" default:"0" min:"0" max:"5" desc:"Copies of the stream when it is created. 0 means 3 if the servers form a cluster, else 1."`
	StreamMaxAge    time.Duration `envconfig:"GATEWAY_STREAM_MAX_AGE" default:"168h" min:"1s" zero:"true" desc:"How long events are kept; 0 keeps them forever. With GATEWAY_RELAY the embedded server keeps events until they are relayed, whatever their age."`
	StreamMaxBytes  int64         `envconfig:"GATEWAY_STREAM_MAX_BYTES" default:"0" format:"bytes" min:"1048576" zero:"true" desc:"Size limit of the events' stream. Near the limit, the oldest events that every durable consumer has acknowledged are purged; a stream that is full of other events rejects new ones. 0 means half of the free disk space for the embedded server, and no limit in a cluster. With GATEWAY_RELAY it applies to the embedded server."`
	DuplicateWindow time.Duration `envconfig:"GATEWAY_DUPLICATE_WINDOW" default:"2h" min:"1s" desc:"How long a repeated delivery is recognised. Not longer than events are kept."`
	Sync            string        `envconfig:"GATEWAY_SYNC" default:"group" oneof:"group,always,interval" desc:"When the embedded server's events are written to the disk. group: before a delivery is answered, with one sync for all waiting deliveries. always: with one sync for each event. interval: once a second; a power cut can lose everything since the last sync, or more."`
	PublishTimeout  time.Duration `envconfig:"GATEWAY_PUBLISH_TIMEOUT" default:"4s" min:"100ms" desc:"How long a delivery waits for the store before it is answered 503. Shorter than GATEWAY_SHUTDOWN_TIMEOUT."`

	MaxBodyBytes int64 `envconfig:"GATEWAY_MAX_BODY_BYTES" default:"4194304" format:"bytes" min:"512" max:"268435456" desc:"Largest delivery that is read; a larger one is answered 413."`
	MaxInFlight  int   `envconfig:"GATEWAY_MAX_IN_FLIGHT" default:"256" min:"1" desc:"Deliveries processed at the same time; further ones wait up to 400 ms, then they are answered 503."`
	IncludeRaw   bool  `envconfig:"GATEWAY_INCLUDE_RAW" default:"false" desc:"Add the platform's own item to each event as data.raw."`

	StoreOther     bool `envconfig:"GATEWAY_STORE_OTHER" default:"false" desc:"Store items that are not clicks too (texts, receipts, payments …), in the stream of that name with _OTHER appended. Otherwise they are counted as ignored."`
	TelegramAnswer bool `envconfig:"GATEWAY_TELEGRAM_ANSWER" default:"false" desc:"Answer each Telegram callback in the webhook's response with answerCallbackQuery, which stops the spinner on the button. Then no service needs to call the API for it. The response has no counts."`

	Forward       []Secret      `envconfig:"GATEWAY_FORWARD" ignored:"true" format:"forward" desc:"Existing bots that get every verified delivery as it was received, like meta=https://bot.internal/hook,telegram/shop_bot=https://bot.internal/tg. Deliveries are stored in the stream of that name with _DELIVERIES appended until the bot has answered 2xx. A URL can hold a secret, so it is never shown."`
	ForwardMaxAge time.Duration `envconfig:"GATEWAY_FORWARD_MAX_AGE" default:"36h" min:"1s" desc:"How long the forwarding of a delivery is retried before it becomes a dead letter (not_forwarded)."`

	HealthPath     string   `envconfig:"GATEWAY_HEALTH_PATH" format:"path" desc:"A path of the public listener, like /health, that answers GET and HEAD with 200 while the gateway accepts deliveries, else 503. For hosts that route only one port."`
	TrustedProxies []string `envconfig:"GATEWAY_TRUSTED_PROXIES" format:"network" desc:"Networks of proxies in front of the gateway, like 10.0.0.0/8,192.0.2.7/32: the log then shows the client's address from their X-Forwarded-For."`

	TLSCert     string `envconfig:"GATEWAY_TLS_CERT" format:"file" desc:"Certificate chain (PEM) of the public listener. Reloaded when the file changes."`
	TLSKey      string `envconfig:"GATEWAY_TLS_KEY" format:"file" desc:"Key (PEM) of that certificate."`
	TLSClientCA string `envconfig:"GATEWAY_TLS_CLIENT_CA" format:"file" desc:"Certificates (PEM) of the authorities of which one must have signed a caller's certificate; otherwise the handshake is rejected. For Meta only: Telegram has no client certificate. Reloaded when the file changes."`

	MetricsPrefixLimit int           `envconfig:"GATEWAY_METRICS_PREFIX_LIMIT" default:"100" min:"0" desc:"Prefixes that get their own series in metrics; further ones are counted as other."`
	LogLevel           string        `envconfig:"GATEWAY_LOG_LEVEL" default:"info" oneof:"debug,info,warn,error" desc:"Least important log lines that are written."`
	LogFormat          string        `envconfig:"GATEWAY_LOG_FORMAT" oneof:"text,json" desc:"Format of log lines. Not set: text on a terminal, else json."`
	ShutdownTimeout    time.Duration `envconfig:"GATEWAY_SHUTDOWN_TIMEOUT" default:"8s" min:"1s" desc:"How long the whole stop may take after a signal. Requests in progress get three quarters of it. Container runtimes kill after 10 seconds unless you set their grace period: make it longer than this."`
	Fallback           string        `envconfig:"GATEWAY_FALLBACK" default:"off" oneof:"true,false,off" desc:"Publish each event that no durable consumer asks for again, to unclaimed.<subject> in the stream of that name with _UNCLAIMED appended, for one service that answers what nobody else does. Consumers of all events do not count."`
	OTLPEndpoint       Secret        `envconfig:"GATEWAY_OTLP_ENDPOINT" ignored:"true" format:"otlp" desc:"Where traces are sent to with OTLP over HTTP, like http://localhost:4318; /v1/traces is added if the URL has no path. A login in it is sent as Basic authentication. Not set: no tracing."`

	unknown     []string // warnings about variables that are not settings
	secretFiles []SecretFile
}

// SecretFile is a file that holds a secret, and the variable that it is for.
type SecretFile struct{ Variable, Path string }

// SecretFiles returns the files that secrets were given in.
func (s *Settings) SecretFiles() []SecretFile { return s.secretFiles }

// RunsNATS reports whether the gateway runs its own NATS server.
func (s *Settings) RunsNATS() bool { return len(s.NATSURL) == 0 || s.Relay }
