package stream

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// attempt publishes entries once and collects their acknowledgements.
type attempt struct {
	sender    *Sender
	acks      *acks
	entries   []Entry
	responses chan response // has room for all
	timeout   *time.Timer
	err       error // a final one if there was one, else the first
}

// attempts are reused if nothing failed: then no other response can arrive.
var attempts = sync.Pool{New: func() any { return &attempt{responses: make(chan response, 1), timeout: time.NewTimer(0)} }}

// attemptOnce publishes what is not acknowledged yet, in order, and collects the
// acknowledgements. It returns a final error if there was one, else the first.
func attemptOnce(ctx context.Context, s *Sender, acks *acks, entries []Entry) error {
	a := attempts.Get().(*attempt)
	a.sender, a.acks, a.entries, a.err = s, acks, entries, nil
	if cap(a.responses) < len(entries) {
		a.responses = make(chan response, len(entries))
	}
	a.timeout.Reset(s.AckTimeout)
	complete := a.run(ctx)
	a.timeout.Stop()
	a.sender, a.acks, a.entries = nil, nil, nil
	err := a.err
	if complete && err == nil {
		attempts.Put(a)
	}
	return err
}

// run returns true when there is a response for each entry that was sent. It returns false
// when ctx ends or the server has not responded in time.
func (a *attempt) run(ctx context.Context) (complete bool) {
	for sent := a.send(ctx); sent > 0; {
		select {
		case r := <-a.responses:
			a.receive(&r)
			sent--
		case <-a.timeout.C:
			if !a.acks.queued(a.firstNumber(), a.sender.AckTimeout) {
				a.abandon(jetstream.ErrAsyncPublishTimeout)
				return false
			}
			a.timeout.Reset(a.sender.AckTimeout)
		case <-ctx.Done():
			a.abandon(ctx.Err())
			return false
		}
	}
	return true
}

// send stops at the first entry that cannot be sent, so that they keep their order. It
// returns how many were sent.
func (a *attempt) send(ctx context.Context) (sent int) {
	for i := range a.entries {
		e := &a.entries[i]
		if e.Outcome != schema.Failed {
			continue
		}
		err := ctx.Err()
		// A send blocks while the client reconnects, whatever ctx says.
		if !a.sender.Conn.Online() {
			err = nats.ErrDisconnected
		}
		if err == nil {
			e.number, err = a.acks.publish(e.Msg, waiter{a.responses, i})
		}
		if err != nil {
			a.fail(err)
			return sent
		}
		sent++
	}
	return sent
}

// receive records a response.
func (a *attempt) receive(r *response) {
	err := a.entries[r.entry].respond(r)
	if err != nil {
		a.fail(err)
	} else if acknowledged := a.sender.Acknowledged; acknowledged != nil {
		acknowledged()
	}
}

func (a *attempt) fail(err error) {
	if a.err == nil || IsFinal(err) && !IsFinal(a.err) {
		a.err = err
	}
}

// firstNumber returns the number of the first entry without a response.
func (a *attempt) firstNumber() uint64 {
	for i := range a.entries {
		if number := a.entries[i].number; number != 0 {
			return number
		}
	}
	return 0
}

// abandon stops waiting because of cause. Responses that have arrived count although the
// time is over.
func (a *attempt) abandon(cause error) {
	for i := range a.entries {
		if number := a.entries[i].number; number != 0 {
			a.acks.take(number)
		}
	}
	for len(a.responses) > 0 {
		r := <-a.responses
		a.receive(&r)
	}
	for i := range a.entries {
		if e := &a.entries[i]; e.number != 0 {
			e.number, e.uncertain = 0, true
			a.fail(cause)
		}
	}
}
