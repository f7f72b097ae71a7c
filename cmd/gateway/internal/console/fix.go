package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// fixTimeout bounds what the view Fix asks the streams for. A search for an event by its id
// reads the whole stream.
const fixTimeout = time.Minute

func (c *Console) fixRoutes() {
	c.mux.HandleFunc("GET /api/fix", fixing(c.fixOverview))
	c.mux.HandleFunc("GET /api/fix/count", fixing(c.fixCount))
	c.mux.HandleFunc("GET /api/fix/dead-letters/{seq}", fixing(c.deadLetter))
	c.mux.HandleFunc("POST /api/fix/dead-letters/{seq}/reveal", action(fixing(c.revealDeadLetter)))
	c.mux.HandleFunc("POST /api/fix/dead-letters", action(fixing(c.replayDeadLetters)))
	c.mux.HandleFunc("POST /api/fix/consumer", action(fixing(c.replayToConsumer)))
}

// fixing bounds a request, and answers with its result or its error.
func fixing(next func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), fixTimeout)
		defer cancel()
		result, err := next(r.WithContext(ctx))
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			fail(w, refused.status, refused.detail)
		case err != nil:
			fail(w, http.StatusConflict, err.Error())
		default:
			respond(w, result)
		}
	}
}

// refusal is an error with a status of its own.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

func readAction(r *http.Request, v any) error {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return &refusal{http.StatusBadRequest, "the body is not what this action expects: " + err.Error()}
	}
	return nil
}

func (c *Console) fixOverview(r *http.Request) (any, error) {
	o, err := c.Replay.Overview(r.Context())
	if err != nil {
		return nil, err
	}
	return map[string]any{"deadLetters": o.DeadLetters, "byReason": o.ByReason, "last": o.Last, "givenUp": o.GivenUp, "consumers": o.Consumers}, nil
}

func (c *Console) fixCount(r *http.Request) (any, error) {
	n, err := c.Replay.Count(r.Context())
	return map[string]uint64{"count": n}, err
}

// letterDetail is a dead letter as the page shows it.
type letterDetail struct {
	Seq        uint64    `json:"seq"`
	Delivery   uint64    `json:"delivery"` // its place in the list; 0 if it is not there
	Subject    string    `json:"subject"`
	Reason     string    `json:"reason"`
	Platform   string    `json:"platform"`
	Account    string    `json:"account"`
	ReceivedAt time.Time `json:"receivedAt"`
	Length     int       `json:"length"`
	Truncated  bool      `json:"truncated"`
	Forwarded  bool      `json:"forwarded"` // it is posted again, not parsed
	Where      string    `json:"where"`     // in the body; empty if it is not known
	Detail     string    `json:"detail"`
	Body       string    `json:"body"`
	Revealed   bool      `json:"revealed"`
}

func (c *Console) deadLetter(r *http.Request) (any, error) { return c.readDeadLetter(r, false) }

func (c *Console) revealDeadLetter(r *http.Request) (any, error) {
	d, err := c.readDeadLetter(r, true)
	if err != nil {
		return nil, err
	}
	c.Log.Info("personal data of a dead letter revealed in the console", "remote", r.RemoteAddr, "dead_letter", d.Seq,
		"received_at", d.ReceivedAt, "platform", d.Platform)
	return d, nil
}

func (c *Console) readDeadLetter(r *http.Request, reveal bool) (*letterDetail, error) {
	seq, _ := strconv.ParseUint(r.PathValue("seq"), 10, 64) // 0 is not found
	m, err := c.Replay.DeadLetter(r.Context(), seq)
	if err != nil {
		return nil, err
	}
	var d schema.DeadLetter
	if m == nil || json.Unmarshal(m.Data, &d) != nil {
		return nil, &refusal{http.StatusNotFound, "this dead letter is not stored any more: it was replayed, or is too old"}
	}
	l := describeLetter(m, &d, reveal)
	l.Delivery = c.ring.findLetter(d.NatsMsgID())
	return l, nil
}

func describeLetter(m *stream.Message, d *schema.DeadLetter, reveal bool) *letterDetail {
	body, _ := d.Bytes() // of another program: there is nothing to show
	l := &letterDetail{
		Seq: m.Sequence, Subject: m.Subject, Reason: string(d.Reason), Platform: d.Platform, Account: accountOf(d), ReceivedAt: d.ReceivedAt,
		Length: d.Length, Truncated: d.Truncated, Forwarded: d.IsForwarded(), Where: whereIn(d.Detail), Detail: shownDetail(d, reveal), Revealed: reveal,
	}
	l.Body = masker{reveal: reveal, form: hasForm(body), accounts: map[string]bool{l.Account: l.Account != ""}}.print(body)
	return l
}

// shownDetail hides a detail that can quote the item.
func shownDetail(d *schema.DeadLetter, reveal bool) string {
	if d.Detail == "" || reveal || isOwnDetail(d) {
		return d.Detail
	}
	return "The detail can quote the item: reveal it to read it."
}

// plainDetail matches details that only name members in small letters and places in lists.
var plainDetail = regexp.MustCompile(`^[a-z_]+(/([a-z_]+|[0-9]{1,3}))* (is missing|has to be an? [a-z]+(, this is a JSON [a-z]+)?)$`)

// isOwnDetail reports whether the detail has only texts of the gateway's own.
func isOwnDetail(d *schema.DeadLetter) bool {
	return d.Reason == schema.ReasonNotForwarded || d.Reason == schema.ReasonTooLarge || plainDetail.MatchString(d.Detail)
}

// accountOf returns the page, account or bot that received a dead letter.
func accountOf(d *schema.DeadLetter) string {
	var around struct {
		Entry []struct {
			ID      string `json:"id"`
			Changes []struct {
				Value struct {
					Metadata struct {
						PhoneNumberID string `json:"phone_number_id"`
					} `json:"metadata"`
				} `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	// Instead of the item there is null: it can be malformed.
	if d.Account != "" || d.Before == "" || json.Unmarshal([]byte(d.Before+"null"+d.After), &around) != nil || len(around.Entry) == 0 {
		return d.Account
	}
	e := around.Entry[0]
	if len(e.Changes) > 0 && e.Changes[0].Value.Metadata.PhoneNumberID != "" {
		return e.Changes[0].Value.Metadata.PhoneNumberID
	}
	return e.ID
}

// where matches the place that a detail begins with: the members on the way, or a byte.
var where = regexp.MustCompile(`(?:^|: )([A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z0-9_]+)*) (?:has to be|is missing)|not JSON (at byte \d+)`)

func whereIn(detail string) string {
	found := where.FindStringSubmatch(detail)
	if found == nil {
		return ""
	}
	return found[1] + found[2]
}

// deadLetterAction selects dead letters, as [replay.Selection] does. Without Reveal the
// answer has nothing that a person or platform wrote.
type deadLetterAction struct {
	Filters   []string  `json:"filters"`
	Since     time.Time `json:"since,omitzero"`
	ID        string    `json:"id,omitempty"`
	Sequences []uint64  `json:"sequences,omitempty"`
	From      uint64    `json:"from,omitempty"`
	DryRun    bool      `json:"dry_run"`
	Reveal    bool      `json:"reveal"`
}

// replayDeadLetters replays a batch. The command gateway replay asks for it too.
func (c *Console) replayDeadLetters(r *http.Request) (any, error) {
	var a deadLetterAction
	if err := readAction(r, &a); err != nil {
		return nil, err
	}
	batch, err := c.Replay.DeadLetters(r.Context(), replay.Selection{
		Filters: a.Filters, Since: a.Since, ID: a.ID, Sequences: a.Sequences, From: a.From, DryRun: a.DryRun,
	})
	if batch != nil && !a.DryRun {
		results := make(map[replay.Result]int)
		for _, l := range batch.Letters {
			results[l.Result]++
		}
		c.Log.Info("dead letters were replayed", "remote", r.RemoteAddr, "stored", results[replay.Stored], "duplicates", results[replay.Duplicate],
			"forwarded", results[replay.Forwarded], "kept", results[replay.StillInvalid]+results[replay.NoEvent]+results[replay.Unusable])
	}
	if err != nil {
		return nil, err
	}
	if !a.Reveal {
		hideLetters(batch.Letters)
	}
	return batch, nil
}

func hideLetters(letters []replay.Letter) {
	for i := range letters {
		letters[i].Detail = whereIn(letters[i].Detail)
		for j := range letters[i].Events {
			e := &letters[i].Events[j]
			e.ID, e.Subject = "", maskSubject(e.Subject)
		}
	}
}

// maskSubject hides an address or number in a subject.
func maskSubject(subject string) string {
	for token := range strings.SplitSeq(subject, ".") {
		if text, err := schema.UnescapeToken(token); err == nil && strings.Contains(text, "@") && isPersonal(text) {
			return masked(subject)
		}
	}
	return subject
}

// consumerAction says what a consumer receives again. Run does it; otherwise the answer is
// what would happen.
type consumerAction struct {
	Consumer string `json:"consumer"`
	GivenUp  bool   `json:"givenUp"`
	Seconds  int64  `json:"seconds"` // stored within
	ID       string `json:"id"`      // of the first event
	Sequence uint64 `json:"seq"`
	Run      bool   `json:"run"`
}

func (a *consumerAction) request(now time.Time) (replay.Request, error) {
	r := replay.Request{Consumer: a.Consumer, ID: strings.TrimSpace(a.ID), Sequence: a.Sequence, GivenUp: a.GivenUp}
	if a.Seconds > 0 {
		r.Since = now.Add(-time.Duration(a.Seconds) * time.Second)
	}
	if a.Consumer == "" || !a.GivenUp && a.Seconds <= 0 && r.ID == "" && a.Sequence == 0 {
		return r, &refusal{http.StatusUnprocessableEntity, "choose a consumer, and the event or the time from which on it receives events again"}
	}
	return r, nil
}

// replayToConsumer resets a consumer, or says what that would do.
func (c *Console) replayToConsumer(r *http.Request) (any, error) {
	var a consumerAction
	if err := readAction(r, &a); err != nil {
		return nil, err
	}
	request, err := a.request(time.Now())
	if err != nil {
		return nil, err
	}
	link, err := c.Replay.Link()
	if err != nil {
		return nil, err
	}
	plan, err := replay.Prepare(r.Context(), link, c.Replay.Streams, request)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, &refusal{http.StatusNotFound, err.Error()}
	case err != nil:
		return nil, err
	}
	if a.Run {
		if err := plan.Run(r.Context(), link, c.Log.With("remote", r.RemoteAddr)); err != nil {
			return nil, err
		}
	}
	return map[string]any{"consumer": plan.Consumer, "events": plan.Events, "seq": plan.Sequence, "stored": plan.Stored,
		"subject": maskSubject(plan.Subject), "givenUp": len(plan.GivenUp)}, nil
}
