package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// Person names somebody whose messages [Forget] looks for.
type Person struct {
	Platform string
	Account  string // empty: on every account of the platform
	User     string // any of the ids that events have for the person
}

// Erasure is what is to be forgotten.
type Erasure struct {
	Person
	// Erase has the messages erased; otherwise they are only counted.
	Erase bool
}

// Holding is what one stream holds, or held, of a person.
type Holding struct {
	Stream   string
	Missing  bool     // there is no such stream
	Messages int      // found; all of them are erased where that was asked for
	Others   []string // further ids of the person in these events, as platform:account:id, sorted
}

// Forget looks through the events, the unclaimed ones and the dead letters of
// cfg's streams for messages of a person, and erases them where it is asked to:
// the server takes each one out of the stream and overwrites it in its file. A dead
// letter is one of the person where what is kept of its body has the user's id in
// it, whatever the account: what could not be read does not tell more.
//
// What is stored while it looks is found too, but not what is stored later.
// Where a relay moves the stream, messages are erased when it has moved them: it may
// have them in memory already, and nobody could tell afterwards. So the cluster can
// be looked through next. The same holds for the fallback, and for the unclaimed.
//
// The error says what could not be read or erased; what is returned with it was
// done. It uses the connection's error handler.
func Forget(ctx context.Context, nc *nats.Conn, cfg Config, e Erasure) ([]Holding, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The server does not answer what is not allowed; it only says so.
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(fmt.Errorf("%w: expected a user who may read the streams and delete from them", err))
		}
	})
	var all []Holding
	for _, place := range e.places(&cfg) {
		held, err := place.forget(ctx, js, e)
		all = append(all, held)
		if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
			err = cause
		}
		if err != nil {
			return all, fmt.Errorf("stream %s: %w", place.stream, err)
		}
	}
	return all, nil
}

// place is a stream in which there can be messages of a person.
type place struct {
	stream  string
	filters []string
	about   func(data []byte) (others []string, yes bool)
}

// places are in the order in which messages get from one to the other.
func (e *Erasure) places(cfg *Config) []place {
	account := "*"
	if e.Account != "" {
		account = schema.EscapeToken(e.Account)
	}
	events := strings.Join([]string{cfg.Root, e.Platform, account, "*", "*"}, ".")
	letters := []string{schema.DeadLetterRoot + cfg.Root + "." + e.Platform + ".*"}
	if e.Platform != schema.Telegram {
		letters = append(letters, schema.DeadLetterRoot+cfg.Root+"."+schema.UnknownPlatform+".*")
	}
	return []place{
		{cfg.Stream, []string{events}, e.inEvent},
		{cfg.unclaimedStream(), []string{unclaimedRoot + events}, e.inEvent},
		{cfg.deadLetterStream(), letters, e.inDeadLetter},
	}
}

// inEvent tells whether the event is one of the person, and what else the person
// is called in it.
func (p *Person) inEvent(data []byte) (others []string, yes bool) {
	var e schema.Event
	if !mayHold(data, p.User) || json.Unmarshal(data, &e) != nil {
		return nil, false
	}
	d := &e.Data
	ids := []string{d.User.ID, d.User.Ref, d.User.ScopedID, d.User.ParentScopedID}
	if d.Platform != p.Platform || p.Account != "" && d.Account.ID != p.Account || !slices.Contains(ids, p.User) {
		return nil, false
	}
	for _, id := range ids {
		if id != "" && id != p.User {
			others = append(others, d.Platform+":"+d.Account.ID+":"+id)
		}
	}
	return others, true
}

// mayHold spares most events of a large stream from being decoded.
func mayHold(data []byte, id string) bool {
	encoded, err := json.Marshal(id)
	asItIs := err == nil && len(encoded) == len(id)+2 // with nothing that JSON may escape
	return !asItIs || bytes.Contains(data, []byte(id))
}

func (p *Person) inDeadLetter(data []byte) (others []string, yes bool) {
	var d schema.DeadLetter
	if json.Unmarshal(data, &d) != nil {
		return nil, false
	}
	body, err := d.Bytes()
	return nil, err == nil && holdsWord(body, p.User)
}

// holdsWord tells whether word stands in text by itself, and not as a part of a
// longer number or name.
func holdsWord(text []byte, word string) bool {
	for at := 0; ; at++ {
		found := bytes.Index(text[at:], []byte(word))
		if found < 0 {
			return false
		}
		at += found
		before, _ := utf8.DecodeLastRune(text[:at])
		after, _ := utf8.DecodeRune(text[at+len(word):])
		if !isWordRune(before) && !isWordRune(after) {
			return true
		}
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// forget goes on until it finds nothing that has come meanwhile.
func (p *place) forget(ctx context.Context, js jetstream.JetStream, e Erasure) (Holding, error) {
	held := Holding{Stream: p.stream}
	stream, err := js.Stream(ctx, p.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		held.Missing = true
		return held, nil
	}
	if err != nil {
		return held, err
	}
	for from := uint64(1); ; {
		found, err := p.search(ctx, stream, from)
		if err != nil {
			return held, err
		}
		held.Others = append(held.Others, found.others...)
		slices.Sort(held.Others)
		held.Others = slices.Compact(held.Others)
		if !e.Erase {
			held.Messages = len(found.messages)
			return held, nil
		}
		if len(found.messages) == 0 {
			return held, nil
		}
		if err := settle(ctx, stream, slices.Max(found.messages)); err != nil {
			return held, err
		}
		for _, seq := range found.messages {
			if err := eraseMessage(ctx, stream, seq); err != nil {
				return held, err
			}
			held.Messages++
		}
		from = found.last + 1
	}
}

// finding is what one pass over a stream has found.
type finding struct {
	messages []uint64 // sequences
	others   []string
	last     uint64 // sequence up to which the pass has read
}

func (p *place) search(ctx context.Context, stream jetstream.Stream, from uint64) (finding, error) {
	var found finding
	err := eachMessage(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects:    p.filters,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		InactiveThreshold: time.Minute,
		Metadata:          map[string]string{LookMetadata: "forget"},
	}, func(seq uint64, data []byte) {
		found.last = seq
		if others, yes := p.about(data); yes {
			found.messages = append(found.messages, seq)
			found.others = append(found.others, others...)
		}
	})
	return found, err
}

// How a stream is read. Without heartbeats the client does not see that a request of
// its own was lost, as happens while a cluster makes the consumer; they have to be
// missed before readPause ends, after which the server is asked whether there is more.
const (
	readExpiry    = 10 * time.Second
	readHeartbeat = 2 * time.Second // two are missed before the client begins anew
	readPause     = 3 * readHeartbeat
)

// eachMessage calls do with every message that the consumer gets, until there are
// no more now.
func eachMessage(ctx context.Context, stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig, do func(uint64, []byte)) error {
	consumer, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return err
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(readExpiry), jetstream.PullHeartbeat(readHeartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := nextMessage(ctx, messages)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			// The last ones may have been purged meanwhile.
			if info, err := consumer.Info(ctx); err != nil || info.NumPending == 0 {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		do(meta.Sequence.Stream, m.Data())
		if meta.NumPending == 0 {
			return nil
		}
	}
}

func nextMessage(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, readPause)
	defer cancel()
	return messages.Next(jetstream.NextContext(ctx))
}

// eraseTimeout bounds one erasure: the server writes the whole file anew in which
// the message is, and syncs it.
const eraseTimeout = 30 * time.Second

func eraseMessage(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	erasing, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	err := stream.SecureDeleteMsg(erasing, seq)
	if err == nil {
		return nil
	}
	if _, missing := stream.GetMsg(erasing, seq); errors.Is(missing, jetstream.ErrMsgNotFound) {
		return nil // it was purged meanwhile, or an answer was lost
	}
	return fmt.Errorf("message %d is not erased: %w", seq, err)
}

// How long the gateway's own consumers may make no progress, and after how long
// without a reader one of them counts as left behind.
const (
	settleTimeout = 10 * time.Second
	unusedTime    = 2 * time.Second
)

// settle waits until the relay and the fallback, where they read the stream, have
// moved everything up to a sequence. The server counts what is erased as dealt with,
// so it could not tell later what they have in memory.
func settle(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	for _, name := range []string{RelayConsumer, FallbackConsumer} {
		mover, err := stream.Consumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := moved(ctx, mover, seq); err != nil {
			return fmt.Errorf("the gateway's consumer %s has not moved what was found: %w: run this again when it has (/readyz tells of the relay), "+
				"or delete the consumer where no gateway uses it any more", name, err)
		}
	}
	return nil
}

var errNoProgress = fmt.Errorf("no progress for %s", settleTimeout)

// moved returns when the consumer has acknowledged everything up to seq, or when
// nobody reads by it who could have something in memory.
func moved(ctx context.Context, mover jetstream.Consumer, seq uint64) error {
	floor := uint64(0)
	progress, used := time.Now(), time.Now()
	for {
		info, err := mover.Info(ctx)
		if err != nil || info.AckFloor.Stream >= seq {
			return err
		}
		if info.AckFloor.Stream > floor {
			floor, progress = info.AckFloor.Stream, time.Now()
		}
		if info.NumWaiting > 0 || info.NumAckPending > 0 {
			used = time.Now()
		}
		switch {
		case time.Since(used) > unusedTime:
			return nil
		case time.Since(progress) > settleTimeout:
			return errNoProgress
		}
		sleep(ctx, retryWait)
	}
}
