package doctor

import (
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish/monitor"
)

// Report is the state of a running gateway, and what is wrong with it.
type Report struct {
	Status
	Findings []Finding `json:"findings"`
}

// Status is what a running gateway knows of itself.
type Status struct {
	Now      time.Time       `json:"now"`
	Version  string          `json:"version"`
	Ready    bool            `json:"ready"`
	NotReady string          `json:"not_ready,omitempty"` // why no event can be stored
	Received ingest.Activity `json:"received"`
	Expected []Webhook       `json:"expected"`
	// Rejections are those of the last five minutes, the latest reason first.
	Rejections []Rejection `json:"rejections"`
	Store      Store       `json:"store"`
	// Consumers are the durable ones of the stream that consumers read. ReadError is why
	// they, or the unclaimed subjects, could not be read.
	Consumers []monitor.ConsumerState    `json:"consumers"`
	Unclaimed []monitor.UnclaimedSubject `json:"unclaimed"` // in the last 24 hours; MaxUnclaimed at most
	// GivenUp is how many events each consumer has given up, as long as that is stored.
	GivenUp   map[string]uint64 `json:"given_up"`
	ReadError string            `json:"read_error,omitempty"`
}

// MaxUnclaimed bounds the list of unclaimed subjects.
const MaxUnclaimed = 100

// Webhook is one that a platform should deliver to.
type Webhook struct {
	Webhook string `json:"webhook"`
	Account string `json:"account,omitempty"` // the bot in its path
	// Stored reports whether the stream holds events of its platforms.
	Stored bool `json:"stored"`
}

// Rejection counts the requests that were rejected for one reason.
type Rejection struct {
	Handler string    `json:"handler"` // as in the metrics
	Account string    `json:"account,omitempty"`
	Reason  string    `json:"reason"`
	Status  int       `json:"status"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
	Do      string    `json:"do"`
}

// Store is what deliveries are stored in.
type Store struct {
	Root     string    `json:"root"` // of the events' subjects
	Stream   string    `json:"stream"`
	Events   uint64    `json:"events"`
	Bytes    uint64    `json:"bytes"`
	MaxBytes int64     `json:"max_bytes,omitempty"`
	First    time.Time `json:"first,omitzero"` // when the oldest event was stored
	Last     time.Time `json:"last,omitzero"`
	DiskFree uint64    `json:"disk_free_bytes,omitempty"`
	DiskSize uint64    `json:"disk_size_bytes,omitempty"`
}

// Level says whether somebody has to act.
type Level string

// The levels of findings.
const (
	Problem Level = "problem"
	Note    Level = "note"
)

// Finding is something that an operator should know.
type Finding struct {
	Level Level  `json:"level"`
	Code  string `json:"code"`  // one of the Code constants
	About string `json:"about"` // the webhook, account, consumer or subject
	Text  string `json:"text"`
	Do    string `json:"do"`
}

// The codes of findings.
const (
	CodeNotReady          = "not_ready"
	CodeNoHandshake       = "no_handshake"
	CodeHandshakeRejected = "handshake_rejected"
	CodeNoDelivery        = "no_delivery"
	CodeRejected          = "rejected"
	CodeWrongPath         = "wrong_path"
	CodeDeadLetters       = "dead_letters"
	CodeNotSubscribed     = "not_subscribed"
	CodeStandbyOnly       = "standby_only"
	CodeNoConsumer        = "no_consumer"
	CodeUnclaimed         = "unclaimed"
	CodeStuck             = "consumer_stuck"
	CodeGivenUp           = "given_up"
	CodeUnreadable        = "unreadable"
)
