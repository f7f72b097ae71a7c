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
	People []Person
	// Erase has the messages erased; otherwise they are only counted.
	Erase bool
}

// Holding is what one stream holds, or held, of the people.
type Holding struct {
	Stream  string
	Missing bool // there is no such stream
	// Incomplete says that an error came before the end: Messages is what was done
	// until then, and there may be more.
	Incomplete bool
	Messages   int      // found, each counted once; all of them are erased where that was asked for
	Others     []string // further ids of the people in these events, as platform:account:id, sorted
}

// Forget looks through the events, the unclaimed ones and the dead letters of
// cfg's streams for messages of people, and erases them where it is asked to:
// the server takes each one out of the stream and overwrites it in its file. A dead
// letter is one of a person where what is kept of its body has the user's id in
// it, whatever the account: what could not be read does not tell more.
//
// Everything that was stored before it looks is found, and most of what is stored
// meanwhile. Where a relay moves the stream, messages are erased when it has moved
// them: it may have them in memory already, and nobody could tell afterwards. So the
// cluster can be looked through next. The same holds for the fallback, and for the
// unclaimed.
//
// It returns a Holding for each stream, also with an error. The error says what could
// not be read or erased; that there is no stream of events is one, that another is
// missing is none. It uses the connection's error handler.
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
	where := places(&cfg)
	all := make([]Holding, len(where))
	for i, place := range where {
		all[i] = Holding{Stream: place.stream, Incomplete: true}
	}
	for i, place := range where {
		err := place.forget(ctx, js, e, &all[i])
		if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
			err = cause
		}
		if err != nil {
			return all, fmt.Errorf("stream %s: %w", place.stream, err)
		}
		all[i].Incomplete = false
	}
	return all, nil
}

// place is a stream in which there can be messages of a person.
type place struct {
	stream  string
	must    bool // there be such a stream
	filters func(*Person) []string
	about   func(p *Person, data []byte) (others []string, yes bool)
}

// places are in the order in which messages get from one to the other.
func places(cfg *Config) []place {
	return []place{
		{cfg.Stream, true, func(p *Person) []string { return []string{p.events(cfg.Root)} }, (*Person).inEvent},
		{cfg.unclaimedStream(), false, func(p *Person) []string { return []string{unclaimedRoot + p.events(cfg.Root)} }, (*Person).inEvent},
		{cfg.deadLetterStream(), false, func(p *Person) []string { return p.deadLetters(cfg.Root) }, (*Person).inDeadLetter},
	}
}

// events is the filter for the events of the person's account.
func (p *Person) events(root string) string {
	account := "*"
	if p.Account != "" {
		account = schema.EscapeToken(p.Account)
	}
	return strings.Join([]string{root, p.Platform, account, "*", "*"}, ".")
}

// deadLetters are the filters for what came from the person's platform, or may have.
func (p *Person) deadLetters(root string) []string {
	filters := []string{schema.DeadLetterRoot + root + "." + p.Platform + ".*"}
	if schema.WebhookOf(p.Platform) == schema.UnknownPlatform {
		filters = append(filters, schema.DeadLetterRoot+root+"."+schema.UnknownPlatform+".*")
	}
	return filters
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
	if err != nil {
		return nil, false
	}
	if d.Truncated || !json.Valid(body) {
		return nil, holdsWord(body, p.User)
	}
	return nil, holdsValue(body, p.User)
}

// holdsValue tells whether id is a string or a number of a JSON text, however it is
// escaped there. In longer text, such as JSON within a string, it has to stand by
// itself and to be of a kind that hardly stands there by chance.
func holdsValue(text []byte, id string) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return false // the end
		}
		switch value := token.(type) {
		case string:
			if value == id || isDistinct(id) && holdsWord([]byte(value), id) {
				return true
			}
		case json.Number:
			if value.String() == id {
				return true
			}
		}
	}
}

// distinctLen is from how many characters on an id counts within longer text: a
// shorter one could be any number or word.
const distinctLen = 5

func isDistinct(id string) bool {
	other := func(r rune) bool { return !isWordRune(r) }
	return utf8.RuneCountInString(id) >= distinctLen && !strings.ContainsFunc(id, other)
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

func (p *place) forget(ctx context.Context, js jetstream.JetStream, e Erasure, held *Holding) error {
	stream, err := js.Stream(ctx, p.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		held.Missing = true
		if p.must {
			return fmt.Errorf("not found on %s: expected GATEWAY_STREAM to be that of a gateway that stores there", js.Conn().ConnectedUrlRedacted())
		}
		return nil
	}
	if err != nil {
		return err
	}
	done := map[uint64]bool{} // a message can be one of several people, or of one with two names
	for _, person := range e.People {
		pass := pass{place: p, stream: stream, nc: js.Conn(), person: &person}
		err := pass.forget(ctx, e.Erase, held, done)
		held.Messages = len(done)
		if err != nil {
			return err
		}
	}
	return nil
}

// pass looks for one person in one place.
type pass struct {
	place  *place
	stream jetstream.Stream
	nc     *nats.Conn
	person *Person
}

// forget adds to done what it has found and, if asked to, erased. It goes on erasing
// until it finds nothing that has come meanwhile.
func (p *pass) forget(ctx context.Context, erase bool, held *Holding, done map[uint64]bool) error {
	for from := uint64(1); ; {
		found, err := p.search(ctx, from)
		if err != nil {
			return err
		}
		held.Others = append(held.Others, found.others...)
		slices.Sort(held.Others)
		held.Others = slices.Compact(held.Others)
		if len(found.messages) == 0 {
			return nil
		}
		if erase {
			if err := settle(ctx, p.stream, slices.Max(found.messages)); err != nil {
				return err
			}
		}
		for _, seq := range found.messages {
			if erase {
				if err := p.erase(ctx, seq); err != nil {
					return err
				}
			}
			done[seq] = true
		}
		if !erase {
			return nil
		}
		from = found.next
	}
}

// finding is what one search through a stream has found.
type finding struct {
	messages []uint64 // sequences
	others   []string
	next     uint64 // sequence from which on nothing has been read
}

// search looks at every message from a sequence on that is stored now.
//
// What the consumer gives is not the whole of it. The client takes a message without
// a body for one of the server's own where its header has a Status, as anybody who
// publishes can write it: then it passes over the message, or gives up. A consumer can
// also stall, or be on a server that is behind. So the end is reached where the
// stream's leader says so, and whatever it has instead is looked at here.
func (p *pass) search(ctx context.Context, from uint64) (finding, error) {
	info, err := p.stream.Info(ctx)
	if err != nil {
		return finding{}, err
	}
	// Without an end a busy account could keep it here.
	last := info.State.LastSeq
	found := finding{next: from}
	for {
		if err := p.consume(ctx, &found); err != nil {
			return found, err
		}
		if ended, err := p.walk(ctx, &found, last); ended || err != nil {
			return found, err
		}
	}
}

func (p *pass) look(found *finding, seq uint64, data []byte) {
	found.next = seq + 1
	if others, yes := p.place.about(p.person, data); yes {
		found.messages = append(found.messages, seq)
		found.others = append(found.others, others...)
	}
}

// How a stream is read. readPause is after how long without a message the leader is
// asked whether there is more: while a cluster makes the consumer, a request for
// messages can be lost.
const (
	readExpiry = 10 * time.Second
	readPause  = 2 * time.Second
	readIdle   = time.Minute // after which the server drops a consumer
)

// consume looks at what a consumer gives, until there is no more or something is
// wrong with it, which is no error: see search.
func (p *pass) consume(ctx context.Context, found *finding) error {
	// An ordered consumer would be made anew for the same message again and again.
	consumer, err := p.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubjects:    p.place.filters(p.person),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       found.next,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: readIdle,
		MemoryStorage:     true,
		Replicas:          1,
		Metadata:          map[string]string{LookMetadata: "forget"},
	})
	if err != nil {
		return err
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(readExpiry))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for count := uint64(1); ; count++ {
		m, err := nextMessage(ctx, messages)
		if err != nil {
			return ctx.Err()
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != count {
			return nil // one was passed over
		}
		p.look(found, meta.Sequence.Stream, m.Data())
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

// walkLen is how many messages are asked for one by one before a consumer is made
// for those that follow. The server keeps each consumer for readIdle.
const walkLen = 100

// walk looks at the next messages as the stream's leader has them. It has ended
// where there is none up to the sequence last.
func (p *pass) walk(ctx context.Context, found *finding, last uint64) (ended bool, err error) {
	for range walkLen {
		m, err := p.following(ctx, found.next)
		if err != nil || m == nil || m.Sequence > last {
			return err == nil, err
		}
		p.look(found, m.Sequence, m.Data)
	}
	return false, nil
}

// following is the first message at or after a sequence; nil when there is none.
func (p *pass) following(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	var first *jetstream.RawStreamMsg
	for _, filter := range p.place.filters(p.person) {
		m, err := ask(ctx, p.nc, p.place.stream, question{Seq: seq, Next: filter})
		if err != nil {
			return nil, err
		}
		if m != nil && (first == nil || m.Sequence < first.Sequence) {
			first = m
		}
	}
	return first, nil
}

// eraseTimeout bounds one erasure: the server writes the whole file anew in which
// the message is, and syncs it.
const eraseTimeout = 30 * time.Second

func (p *pass) erase(ctx context.Context, seq uint64) error {
	erasing, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	err := p.stream.SecureDeleteMsg(erasing, seq)
	if err == nil {
		return nil
	}
	if m, failed := ask(ctx, p.nc, p.place.stream, question{Seq: seq}); failed == nil && m == nil {
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
