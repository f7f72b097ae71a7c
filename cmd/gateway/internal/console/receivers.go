package console

import (
	"context"
	"net/http"
	"time"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// receivers are the consumers that ask for an event.
type receivers struct {
	Receivers []receiver `json:"receivers"`
	// Note is why their positions are not known.
	Note string `json:"note"`
	// Letter is the dead letter's place in its stream; 0 for an event, or if it is not
	// there any more.
	Letter uint64 `json:"letter,omitempty"`
}

type receiver struct {
	Name     string           `json:"name"`
	Durable  bool             `json:"durable"`
	Filters  []string         `json:"filters"`
	Pending  uint64           `json:"pending"`
	Position monitor.Position `json:"position"` // with the event; empty if it is not known
}

// subjectReceivers answers with the consumers that ask for a subject.
func (c *Console) subjectReceivers(w http.ResponseWriter, r *http.Request) {
	found, err := c.receiversOf(r.Context(), r.URL.Query().Get("subject"), nil)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	respond(w, found)
}

// deliveryReceivers answers with the consumers that ask for each event of a delivery.
func (c *Console) deliveryReceivers(w http.ResponseWriter, r *http.Request) {
	rec := c.record(w, r)
	if rec == nil {
		return
	}
	all := []receivers{}
	for i := range rec.Items {
		found, err := c.itemReceivers(r.Context(), rec, &rec.Items[i])
		if err != nil {
			found.Note = err.Error()
		}
		all = append(all, found)
	}
	respond(w, all)
}

// storeTime is how long before its receipt an event can be stored, by the clock of another
// server.
const storeTime = 2 * time.Second

func (c *Console) itemReceivers(ctx context.Context, rec *record, item *recordItem) (receivers, error) {
	switch {
	case item.Reason != "":
		return c.storedLetter(ctx, rec, item)
	case item.Outcome == schema.Failed:
		return receivers{Receivers: []receiver{}, Note: "It is not stored."}, nil
	}
	if item.Outcome == schema.Duplicate {
		found, err := c.receiversOf(ctx, item.Subject, nil)
		found.Note = "It was stored with an earlier delivery."
		return found, err
	}
	m, err := c.Consumers.Find(ctx, item.Subject, item.ID, rec.At.Add(-storeTime))
	if err != nil {
		return receivers{Receivers: []receiver{}}, err
	}
	found, err := c.receiversOf(ctx, item.Subject, m)
	if m == nil && err == nil {
		found.Note = "It is not where consumers read: not relayed yet, or no longer stored."
	}
	return found, err
}

// storedLetter finds the dead letter of an item, which an earlier delivery can have stored.
// It is for no service.
func (c *Console) storedLetter(ctx context.Context, rec *record, item *recordItem) (receivers, error) {
	found := receivers{Receivers: []receiver{}}
	for _, since := range []time.Time{rec.At.Add(-storeTime), {}} {
		m, err := c.Consumers.Find(ctx, item.Subject, item.ID, since)
		if m != nil || err != nil {
			if m != nil {
				found.Letter = m.Sequence
			}
			return found, err
		}
	}
	found.Note = "It is not among the dead letters: it was replayed, is too old, or is not relayed yet."
	return found, nil
}

// receiversOf returns the consumers of a subject, and where they are with an event of it
// if there is one.
func (c *Console) receiversOf(ctx context.Context, subject string, event *stream.Message) (receivers, error) {
	found := receivers{Receivers: []receiver{}}
	all, err := c.Consumers.Receivers(ctx, subject)
	for i := range all {
		r := receiver{Name: all[i].Name, Durable: all[i].Durable, Filters: all[i].Filters, Pending: all[i].Pending}
		if event != nil {
			r.Position = all[i].Position(event)
		}
		found.Receivers = append(found.Receivers, r)
	}
	return found, err
}
