package console

import (
	"net/http"
	"strconv"

	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// detail is a delivery as the drawer shows it.
type detail struct {
	summary
	Method   string       `json:"method"`
	Path     string       `json:"path"`
	Remote   string       `json:"remote"`
	Headers  [][2]string  `json:"headers"`
	Body     string       `json:"body"`
	Size     int          `json:"size"`
	Cut      bool         `json:"cut"` // the body is longer than what is kept
	Response string       `json:"response"`
	Advice   string       `json:"advice"`
	Detail   string       `json:"detail"`
	Secret   string       `json:"secret"`
	Steps    []step       `json:"steps"`
	Events   []detailItem `json:"events"`
	More     int          `json:"more"` // items that are not kept
	Revealed bool         `json:"revealed"`
}

// detailItem is one item next to what it became.
type detailItem struct {
	Outcome string `json:"outcome"`
	Subject string `json:"subject"`
	Reason  string `json:"reason"` // of a dead letter
	Item    string `json:"item"`
	Event   string `json:"event"`
	// Letter is a dead letter as the view Fix shows it; nil for an event.
	Letter *letterDetail `json:"letter"`
	Send   *send         `json:"send"` // what gateway send needs to send the click again; nil for what is not a click
}

type send struct {
	Platform string `json:"platform"`
	Kind     string `json:"kind"`
	Account  string `json:"account"`
	Payload  string `json:"payload"`
	Ref      string `json:"ref"`
	Title    string `json:"title"`
	User     string `json:"user"`
	UserRef  string `json:"userRef"`
}

// record finds the delivery of a request. If it cannot, it answers the request.
func (c *Console) record(w http.ResponseWriter, r *http.Request) *record {
	seq, _ := strconv.ParseUint(r.PathValue("seq"), 10, 64) // 0 is not found
	rec := c.ring.find(seq)
	if rec == nil {
		fail(w, http.StatusNotFound, "this delivery is no longer kept: the console has the last "+strconv.Itoa(maxRecords)+" since the gateway started")
	}
	return rec
}

func (c *Console) detail(w http.ResponseWriter, r *http.Request) {
	if rec := c.record(w, r); rec != nil {
		respond(w, rec.detailed(false))
	}
}

// reveal shows what is personal in a delivery. The log keeps who did it.
func (c *Console) reveal(w http.ResponseWriter, r *http.Request) {
	rec := c.record(w, r)
	if rec == nil {
		return
	}
	c.Log.Info("personal data of a delivery revealed in the console", "remote", r.RemoteAddr, "delivery", rec.Seq,
		"received_at", rec.At, "platform", rec.Platform, "account", rec.Account)
	respond(w, rec.detailed(true))
}

// person returns the pseudonym of somebody, so that the page can find the person's
// deliveries without knowing who the others are.
func (c *Console) person(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID string `json:"id"`
	}
	if decode(w, r, &body) {
		respond(w, map[string]string{"pseudonym": pseudonym(body.ID)})
	}
}

func (r *record) detailed(reveal bool) detail {
	m := masker{reveal: reveal, accounts: r.accounts}
	d := detail{
		summary: r.summary, Method: r.Method, Path: r.Path, Remote: r.Remote, Headers: r.Headers,
		Size: r.BodySize, Cut: r.BodySize > len(r.Body), Response: string(r.Response), Advice: r.Advice,
		Secret: r.Secret, Steps: r.Steps, Events: []detailItem{}, Revealed: reveal, More: max(0, r.summary.Items-len(r.Items)),
	}
	if len(r.Body) > 0 {
		m.form = r.hasForm()
		d.Body = m.print(r.Body)
	}
	d.Detail = shownDetail(&schema.DeadLetter{Reason: schema.Reason(r.Reason), Detail: r.detail}, reveal)
	for i := range r.Items {
		d.Events = append(d.Events, r.Items[i].detailed(m))
	}
	return d
}

func (r *record) hasForm() bool {
	for i := range r.Items {
		if r.Items[i].isForm() {
			return true
		}
	}
	return false
}

func (i *recordItem) isForm() bool {
	if i.Data == nil {
		return hasForm(i.Item)
	}
	return isForm(i.Data.Kind)
}

func (i *recordItem) detailed(m masker) detailItem {
	m.form = i.isForm()
	d := detailItem{Outcome: string(i.Outcome), Subject: i.subject(m.reveal), Reason: string(i.Reason), Item: m.print(i.Item), Event: m.print(i.Event)}
	if i.Data != nil && i.Data.What == "" {
		d.Send = i.again(m.reveal)
	}
	if letter := i.letter(); letter != nil {
		d.Letter = describeLetter(&stream.Message{Subject: i.Subject}, letter, m.reveal)
	}
	return d
}

// subject hides a payload that is a person's address or number.
func (i *recordItem) subject(reveal bool) string {
	if d := i.Data; !reveal && d != nil && d.Payload != nil && isPersonal(d.Payload.Raw) {
		return masked(i.Subject)
	}
	return i.Subject
}

// again returns what sends the click again. Without reveal it is somebody else's click.
func (i *recordItem) again(reveal bool) *send {
	d := i.Data
	s := &send{Platform: d.Platform, Kind: string(d.Kind), Account: d.Account.ID}
	if d.Payload != nil && (reveal || !i.isForm() && !isPersonal(d.Payload.Raw)) {
		s.Payload = d.Payload.Raw
	}
	if d.Referral != nil {
		s.Ref = d.Referral.Ref
	}
	if d.Platform == schema.Telegram && d.Kind == schema.KindButton {
		s.Payload = "" // the Start button has none
	}
	if reveal {
		s.Title, s.User, s.UserRef = d.Title, d.User.ID, d.User.Ref
	}
	return s
}
