package stream

import (
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/schema"
)

// Spec describes one of the gateway's streams.
type Spec struct {
	Suffix      string // of its name, after Settings.Stream
	Prefix      string // of its subjects, before Settings.Root
	Description string
	// RejectsWhenFull keeps all events: a full stream rejects new ones, so that the
	// platform keeps them. Other streams drop their oldest messages.
	RejectsWhenFull bool
	Published       bool // deliveries are stored there
	Relayed         bool // a relay moves it to the cluster
	DeadLetters     bool // it holds dead letters, not events
	Optional        bool // no delivery fails if it is missing
	// Needed reports whether the settings need it; nil: always.
	Needed func(*Settings) bool
	// Advisories are those about consumers of the events' stream that it holds instead of
	// messages of the gateway. It is only where consumers read.
	Advisories []string
}

// The gateway's streams. One more needs a variable here and an entry in Specs.
var (
	Events = &Spec{Description: "Events of the postback gateway", RejectsWhenFull: true, Published: true, Relayed: true}

	// Others rejects when it is full too: its consumers rely on it like those of clicks.
	Others = &Spec{Suffix: "_OTHER", Prefix: schema.OtherRoot, RejectsWhenFull: true, Published: true, Relayed: true,
		Needed:      func(s *Settings) bool { return s.StoreOther },
		Description: "Items that are not clicks, of the postback gateway"}

	Unclaimed = &Spec{Suffix: "_UNCLAIMED", Prefix: "unclaimed.", Optional: true,
		Needed:      func(s *Settings) bool { return s.Fallback },
		Description: "Events that no consumer of the postback gateway's stream asks for"}

	// DeadLetters always has a bound and drops its oldest. A dead letter is a part of a
	// delivery: a full stream that rejected it would make the gateway reject good events
	// beside it, as long as somebody sends rubbish.
	DeadLetters = &Spec{Suffix: "_DEADLETTER", Prefix: schema.DeadLetterRoot, Published: true, Relayed: true, DeadLetters: true,
		Description: "What the postback gateway could not make an event of"}

	GivenUp = &Spec{Suffix: "_GIVEN_UP", Optional: true, Advisories: []string{"MAX_DELIVERIES", "MSG_TERMINATED"},
		Needed:      func(s *Settings) bool { return !s.Relayed },
		Description: "Which events consumers of the postback gateway's stream have given up"}

	// Deliveries has what waits to be forwarded. A bot that is down must not make the
	// gateway reject, so a full stream drops its oldest messages. Before that the forwarder
	// makes them dead letters.
	Deliveries = &Spec{Suffix: "_DELIVERIES", Prefix: schema.DeliveryRoot, Published: true,
		Needed:      func(s *Settings) bool { return s.Forward },
		Description: "Deliveries that the postback gateway forwards to an existing bot"}
)

// Specs lists them in the order in which a message gets from one to another.
var Specs = []*Spec{Events, Unclaimed, DeadLetters, GivenUp, Others, Deliveries}

// The names of the gateway's own durable consumers on the events' stream.
const (
	RelayConsumer    = "relay"
	FallbackConsumer = "fallback"
)

// Settings are those of the streams. Replicas, MaxAge, MaxBytes and DuplicateWindow
// apply to streams that have to be created; an existing stream keeps its own.
type Settings struct {
	// Root is the first part of the events' subjects.
	Root string
	// Partitions is the number of partitions in the events' subjects; 0: they have none.
	Partitions int
	// Stream is the name of the events' stream.
	Stream string
	// Replicas is their number. 0: 3 if the servers form a JetStream cluster of at least
	// that many, else 1.
	Replicas int
	// MaxAge is how long messages are kept; 0: forever.
	MaxAge time.Duration
	// MaxBytes bounds the events' stream; 0: no bound.
	MaxBytes int64
	// DuplicateWindow is how long an id is remembered.
	DuplicateWindow time.Duration
	// Indexed says that nobody else publishes what deliveries contain, so that the gateway
	// remembers the ids itself. The server does for ServerWindow only.
	Indexed bool
	// Relayed says that a relay moves the events on. They are kept until it has,
	// whatever their age.
	Relayed bool
	// Fallback says that unclaimed events are published again.
	Fallback bool
	// StoreOther says that items that are not clicks are stored.
	StoreOther bool
	// Forward says that whole deliveries are stored, to be forwarded.
	Forward bool
}

// MinMessage is the least that a stream must accept as one message, in bytes: a dead
// letter without its body, with room for long ids and details.
const MinMessage = 4096

// MinBytes is the least bound of a new stream: the largest message is half of it.
const MinBytes = 2 * MinMessage

// Check reports what is wrong with the settings. It asks no server.
func (s *Settings) Check() error {
	switch {
	case !server.IsValidLiteralSubject(s.Root):
		return natsconn.Errorf("Root", "%q is not a subject: expected tokens joined by dots, such as postback.v1", s.Root)
	case s.Partitions < 0 || s.Partitions > schema.MaxPartitions:
		return natsconn.Errorf("Partitions", "%d is out of range: expected 0 to %d", s.Partitions, schema.MaxPartitions)
	case s.Stream == "" || strings.ContainsAny(s.Stream, " \t\r\n.*>/\\"):
		return natsconn.Errorf("Stream", "%q is not a name of a stream: expected no white space and none of . * > / \\", s.Stream)
	case s.MaxBytes > 0 && s.MaxBytes < MinBytes:
		return natsconn.Errorf("MaxBytes", "%d is too small: expected at least %d", s.MaxBytes, MinBytes)
	default:
		return nil
	}
}

// ServerWindow is how long the server remembers an id that the gateway has an index for: as
// long as the gateway may not know of a message that was stored. It is the server's default.
const ServerWindow = 2 * time.Minute

// HasIndex reports whether the gateway remembers the ids of the stream itself.
func (s *Settings) HasIndex(spec *Spec) bool {
	return s.Indexed && spec.Published && s.DuplicateWindow > ServerWindow
}

// EventSubjects returns the form of the events' subjects.
func (s *Settings) EventSubjects() schema.Subjects {
	return schema.Subjects{Root: s.Root, Partitions: s.Partitions}
}

// Name returns the name of a stream.
func (s *Settings) Name(spec *Spec) string { return s.Stream + spec.Suffix }

// Subjects returns the filters that the stream must capture.
func (s *Settings) Subjects(spec *Spec) []string {
	if len(spec.Advisories) == 0 {
		return []string{spec.Prefix + s.Root + ".>"}
	}
	var all []string
	for _, kind := range spec.Advisories {
		all = append(all, "$JS.EVENT.ADVISORY.CONSUMER."+kind+"."+s.Stream+".*")
	}
	return all
}

// SpecOf returns the stream that captures a subject.
func (s *Settings) SpecOf(subject string) *Spec {
	for _, spec := range Specs {
		if spec.Prefix != "" && strings.HasPrefix(subject, spec.Prefix+s.Root+".") {
			return spec
		}
	}
	return Events
}

// Specs lists the streams that must exist.
func (s *Settings) Specs() []*Spec {
	var all []*Spec
	for _, spec := range Specs {
		if spec.Needed == nil || spec.Needed(s) {
			all = append(all, spec)
		}
	}
	return all
}

// The bounds of a stream beside the events': without a bound of the events', and at
// least, so that a small one still accepts several messages of the largest size.
const (
	sideBytes    = 1 << 30
	minSideBytes = 16 << 20
)

// Config returns how the stream is created. The server does not drop relayed events by
// their age: the retention does, when they have been moved.
func (s *Settings) Config(spec *Spec) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        s.Name(spec),
		Description: spec.Description,
		Subjects:    s.Subjects(spec),
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Duplicates:  s.DuplicateWindow,
		Replicas:    s.Replicas,
		AllowDirect: true,
		MaxAge:      s.MaxAge,
	}
	if s.HasIndex(spec) {
		c.Duplicates = ServerWindow
	}
	if spec.RejectsWhenFull {
		c.Discard, c.MaxBytes = jetstream.DiscardNew, s.MaxBytes
		if s.Relayed {
			c.MaxAge = 0
		}
		return c
	}
	c.Discard, c.MaxBytes = jetstream.DiscardOld, sideBytes
	if spec == Deliveries {
		c.MaxAge = 0 // the forwarder decides when it gives up
	}
	if s.MaxBytes > 0 {
		c.MaxBytes = max(s.MaxBytes/10, minSideBytes)
	}
	return c
}
