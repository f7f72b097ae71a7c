package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// replay replays one dead letter, and removes it if nothing of it is left.
func (r *replaying) replay(ctx context.Context, m *stream.Message) error {
	l := Letter{Sequence: m.Sequence, Stored: m.Time}
	var d schema.DeadLetter
	items, result, err := r.read(m, &d)
	l.Platform, l.Reason, l.Result = d.Platform, d.Reason, result
	if err != nil {
		l.Detail = err.Error()
	}
	if err := r.publish(ctx, &l, items, &d); err != nil {
		return fmt.Errorf("dead letter %d: %w", m.Sequence, err)
	}
	if isDone := l.Result == Stored || l.Result == Duplicate || l.Result == Forwarded; isDone && !r.dryRun {
		if err := r.remove(ctx, m.Sequence); err != nil {
			return fmt.Errorf("dead letter %d was replayed and is still there: %w", m.Sequence, err)
		}
	}
	r.batch.Letters = append(r.batch.Letters, l)
	return nil
}

// remove deletes a dead letter, unless another replay has. The server's error does not say
// which of its reasons that is.
func (r *replaying) remove(ctx context.Context, sequence uint64) error {
	err := r.letters.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	m, getErr := stream.GetMessage(ctx, r.link.NC, r.name(), stream.Query{Seq: sequence})
	if m == nil && getErr == nil {
		return nil
	}
	return errors.Join(err, getErr)
}

// read returns what a dead letter becomes. The error says why it is not more.
func (r *replaying) read(m *stream.Message, d *schema.DeadLetter) ([]schema.Item, Result, error) {
	if err := json.Unmarshal(m.Data, d); err != nil {
		return nil, Unusable, fmt.Errorf("not a dead letter of the gateway: %w", err)
	}
	if d.IsForwarded() {
		item, err := r.delivery(m, d)
		if err != nil {
			return nil, Unusable, err
		}
		return []schema.Item{item}, Forwarded, nil
	}
	if d.Reason == schema.ReasonNotRelayed {
		return nil, Unusable, errors.New("another program's message: there is nothing to parse")
	}
	items, err := r.Parse(d)
	if err != nil {
		return nil, Unusable, err
	}
	return r.events(items)
}

// events returns the items that are events now and can be stored.
func (r *replaying) events(items []schema.Item) (events []schema.Item, result Result, err error) {
	result = Stored
	for i := range items {
		message, err := items[i].Message(r.Streams.EventSubjects(), r.limit)
		switch {
		case err != nil:
			return nil, Unusable, err
		case message.DeadLetter != "" && result == Stored:
			result = StillInvalid
		}
		if message.DeadLetter == "" {
			events = append(events, items[i])
		}
	}
	switch {
	case len(items) == 0:
		return nil, NoEvent, errors.New("there is no click in it; with GATEWAY_STORE_OTHER=true other items are events too")
	case result == StillInvalid:
		return events, result, errors.New(stillInvalid(items))
	default:
		return events, result, nil
	}
}

func stillInvalid(items []schema.Item) string {
	for i := range items {
		if items[i].Event == nil {
			return items[i].Rejection.Detail
		}
	}
	return "the event is too large: raise max_payload of the NATS servers, or the stream's limit"
}

// delivery returns a dead letter as a delivery to forward.
func (r *replaying) delivery(m *stream.Message, d *schema.DeadLetter) (schema.Item, error) {
	body, err := d.Bytes()
	switch {
	case err != nil:
		return schema.Item{}, err
	case d.Truncated:
		return schema.Item{}, errors.New("only the beginning of the body is kept: it cannot be posted")
	case !r.Forwards(d.Platform, d.Account):
		return schema.Item{}, fmt.Errorf("GATEWAY_FORWARD has no bot for deliveries of %s", d.Platform)
	}
	return schema.Item{Delivery: &schema.Delivery{
		Webhook: d.Platform, Account: d.Account, Header: d.Header, Body: body, ReceivedAt: d.ReceivedAt,
		Again: fmt.Sprintf("%s:%d:%d", d.SHA256, m.Sequence, m.Time.UnixNano()),
	}}, nil
}

// publish stores the items, and notes the events among them.
func (r *replaying) publish(ctx context.Context, l *Letter, items []schema.Item, d *schema.DeadLetter) error {
	var missing []schema.Item
	for i := range items {
		if items[i].Event == nil {
			missing = append(missing, items[i])
			continue
		}
		message, err := items[i].Message(r.Streams.EventSubjects(), r.limit)
		if err != nil {
			return err
		}
		if len(l.Events) < MaxEvents {
			l.Events = append(l.Events, Event{message.Subject, message.ID})
		}
		isStored, err := r.isStored(ctx, &message, d.ReceivedAt)
		if err != nil {
			return err
		}
		if !isStored {
			missing = append(missing, items[i])
		}
	}
	isNew := l.Result == Forwarded
	if len(missing) > 0 && !r.dryRun {
		outcomes, err := r.Publish(ctx, missing)
		if err != nil {
			return err
		}
		for _, outcome := range outcomes {
			isNew = isNew || outcome == schema.Stored
		}
	} else if len(missing) > 0 {
		isNew = true
	}
	if l.Result == Stored && !isNew {
		l.Result = Duplicate
	}
	return nil
}

// withAnyPartition returns filters of an event's subject: the partitions may have changed.
func withAnyPartition(root, subject string) []string {
	tokens, isClick := schema.ParseSubject(root, subject)
	if !isClick {
		return []string{subject}
	}
	tokens.Partition = ""
	return tokens.Filters(root)
}

// clockDifference is that between the clocks of the gateway and the NATS servers.
const clockDifference = time.Minute

// isStored looks for an event that can have been stored so long ago that its id is not
// known any more. It was not stored before it was received.
func (r *replaying) isStored(ctx context.Context, m *schema.Message, received time.Time) (bool, error) {
	if time.Since(received) < r.window-clockDifference {
		return false, nil
	}
	found := false
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	scan := analytics.Scan{Stream: r.Streams.Name(r.Streams.SpecOf(m.Subject)), Filters: withAnyPartition(r.Streams.Root, m.Subject), Since: received.Add(-clockDifference), HeadersOnly: true, FullSpeed: true}
	err := scan.Run(ctx, r.link, func(e *stream.Message) {
		if e.Header.Get(jetstream.MsgIDHeader) == m.ID {
			found = true
			stop(io.EOF)
		}
	})
	if found {
		return true, nil
	}
	return false, err
}
