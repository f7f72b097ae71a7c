package erase

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// Request says whose messages are counted or erased.
type Request struct {
	People []Person
	// Erase erases the messages; otherwise they are only counted.
	Erase bool
}

// Result is what one stream holds, or held, of the people.
type Result struct {
	Stream  string
	Missing bool // there is no such stream
	// Incomplete says that an error came before the end: Messages is what was done until
	// then, and there may be more.
	Incomplete bool
	Messages   int      // found, each counted once; all of them are erased if that was requested
	Others     []string // further ids of the people in these events, as platform:account:id, sorted
}

// Run searches the events, the unclaimed ones and the dead letters for messages of people,
// and erases them if requested: the server removes each one from the stream and overwrites
// it in its file. A dead letter belongs to a person if what is kept of its body has the
// user's id in it, whatever the account: a body that could not be read does not tell more.
//
// Run finds everything that was stored before the search, and most of what is stored
// meanwhile. If a relay moves the stream, messages are erased after it has moved them: it
// may have them in memory, and nobody could tell afterwards. So the cluster can be searched
// next. The same holds for the fallback and the unclaimed events.
//
// It returns a Result for each stream, also with an error. The error says what could not be
// read or erased. A missing stream of events is an error, another one is not. Run replaces
// the connection's error handler.
func Run(ctx context.Context, link *natsconn.Link, cfg stream.Settings, request Request) ([]Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The server does not respond to a request that is not allowed; it only reports it.
	link.NC.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(fmt.Errorf("%w: expected a user who may read the streams and delete from them", err))
		}
	})
	// Advisories say nothing about people. A delivery to forward is one of several people,
	// and it is deleted or becomes a dead letter by itself.
	specs := slices.DeleteFunc(slices.Clone(stream.Specs), func(s *stream.Spec) bool { return len(s.Advisories) > 0 || s == stream.Deliveries })
	results := make([]Result, len(specs))
	for i, spec := range specs {
		results[i] = Result{Stream: cfg.Name(spec), Incomplete: true}
	}
	for i, spec := range specs {
		e := eraser{link: link, cfg: &cfg, spec: spec, erase: request.Erase, result: &results[i], done: map[uint64]bool{}}
		err := e.run(ctx, request.People)
		if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
			err = cause
		}
		if err != nil {
			return results, fmt.Errorf("stream %s: %w", results[i].Stream, err)
		}
		results[i].Incomplete = false
	}
	return results, nil
}

// eraser works on one stream.
type eraser struct {
	link   *natsconn.Link
	cfg    *stream.Settings
	spec   *stream.Spec
	erase  bool
	result *Result
	stream jetstream.Stream
	done   map[uint64]bool // a message can belong to several people, or to one with two ids
}

func (e *eraser) run(ctx context.Context, people []Person) (err error) {
	e.stream, err = e.link.JS.Stream(ctx, e.result.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		e.result.Missing = true
		if e.spec == stream.Events {
			return &natsconn.ConfigError{Field: "Stream", Err: fmt.Errorf("not found on %s: expected the stream of a gateway that stores there", e.link.NC.ConnectedUrlRedacted())}
		}
		return nil
	}
	for _, person := range people {
		if err == nil {
			err = e.person(ctx, &person)
		}
	}
	e.result.Messages = len(e.done)
	return err
}

// person goes on until it finds nothing that has come meanwhile.
func (e *eraser) person(ctx context.Context, person *Person) error {
	for from := uint64(1); ; {
		messages, next, err := e.search(ctx, person, from)
		if err != nil || len(messages) == 0 {
			return err
		}
		if !e.erase {
			for _, seq := range messages {
				e.done[seq] = true
			}
			return nil
		}
		if err := e.eraseAll(ctx, messages); err != nil {
			return err
		}
		from = next
	}
}

// search returns the sequences of the person's messages from a sequence on, and where to go
// on.
func (e *eraser) search(ctx context.Context, person *Person, from uint64) (messages []uint64, next uint64, err error) {
	r, err := stream.Open(ctx, e.link, stream.ReaderConfig{
		Stream: e.result.Stream, Filters: person.filters(e.cfg, e.spec), Sequence: from, Inspects: "forget",
	})
	if err != nil {
		return nil, from, err
	}
	defer r.Close()
	matches := person.inEvent
	switch {
	case e.spec.DeadLetters:
		matches = person.inDeadLetter
	case e.spec == stream.Others:
		matches = person.inOther
	}
	for next = from; ; {
		m, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			slices.Sort(e.result.Others)
			e.result.Others = slices.Compact(e.result.Others)
			return messages, next, nil
		}
		if err != nil {
			return nil, from, err
		}
		next = m.Sequence + 1
		if others, found := matches(m.Data); found {
			messages = append(messages, m.Sequence)
			e.result.Others = append(e.result.Others, others...)
		}
	}
}

// eraseTimeout bounds one erasure: the server writes the message's whole file again, and
// syncs it.
const eraseTimeout = 30 * time.Second

func (e *eraser) eraseAll(ctx context.Context, messages []uint64) error {
	if err := waitForConsumers(ctx, e.stream, slices.Max(messages)); err != nil {
		return err
	}
	for _, seq := range messages {
		if err := e.eraseOne(ctx, seq); err != nil {
			return err
		}
		e.done[seq] = true
	}
	return nil
}

func (e *eraser) eraseOne(ctx context.Context, seq uint64) error {
	erasing, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	err := e.stream.SecureDeleteMsg(erasing, seq)
	if err == nil {
		return nil
	}
	if m, getErr := stream.GetMessage(ctx, e.link.NC, e.result.Stream, stream.Query{Seq: seq}); getErr == nil && m == nil {
		return nil // it was purged meanwhile, or a response was lost
	}
	return fmt.Errorf("message %d is not erased: %w", seq, err)
}
