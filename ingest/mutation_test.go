package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// keptOf counts, for each folder of testdata, the parts of a delivery that have to become
// an event or a dead letter.
var keptOf = map[string]func(delivery any) (n int, exactly bool){
	"messenger": kept, "instagram": kept, "whatsapp": keptWhatsApp, "telegram": keptTelegram,
}

// TestMutations changes every delivery in testdata at every place, puts good items next
// to it, and posts it. For every change:
//
//   - the response is 200: no platform can be made to deliver forever;
//   - every good item next to it is stored once;
//   - everything stored is an event by the schema, or a dead letter;
//   - only items that do not say that they are events are ignored; malformed events become
//     dead letters.
func TestMutations(t *testing.T) {
	for _, file := range deliveries(t) {
		t.Run(file.name(), func(t *testing.T) {
			t.Parallel()
			m := newMutant(t, file)
			root, err := readAny(file.body)
			if err != nil {
				t.Fatal(err)
			}
			m.post("nothing", root)
			m.checkSame(file)
			mutate(root, "", func(changed any) { root = changed }, func(what string) { m.post(what, root) })
		})
	}
}

// mutate sets a value, and each value in it, to wrong ones and calls visit for each. set
// replaces the value.
func mutate(value any, at string, set func(any), visit func(what string)) {
	for name, replacement := range replacements {
		set(replacement)
		visit(at + " is " + name)
	}
	switch v := value.(type) {
	case map[string]any:
		set(v)
		mutateObject(v, at, visit)
	case []any:
		set([]any{})
		visit(at + " is emptied")
		set(slices.Concat(v, v))
		visit(at + " is doubled")
		set(v)
		for i, element := range v {
			mutate(element, fmt.Sprint(at, "/", i), func(changed any) { v[i] = changed }, visit)
		}
	}
	set(value)
}

func mutateObject(object map[string]any, at string, visit func(what string)) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		delete(object, name)
		visit(at + "/" + name + " is missing")
		mutate(value, at+"/"+name, func(changed any) { object[name] = changed }, visit)
	}
	object["a_new_field"] = map[string]any{"of": []any{"a later version"}}
	visit(at + " has a new field")
	delete(object, "a_new_field")
}

const (
	mutantLimit = 16 << 10 // max_payload for the mutants, in bytes
	// The sizes of long texts: the first fits into an event, the second does not.
	longText = 4 << 10
	hugeText = mutantLimit
)

var replacements = map[string]any{
	"null": nil, "a text": "text", "no text": "", "a number": json.Number("5"), "a huge number": json.Number("1e400"),
	"true": true, "an array": []any{"x"}, "an object": map[string]any{"x": "y"},
	"long": strings.Repeat("a:", longText/2), "huge": strings.Repeat("é", hugeText/2),
}

// mutant posts mutations of one file without sockets.
type mutant struct {
	t        *testing.T
	folder   string
	kept     func(delivery any) (int, bool)
	server   *Server
	messages []schema.Message
}

func newMutant(t *testing.T, file sample) *mutant {
	m := &mutant{t: t, folder: file.folder, kept: keptOf[file.folder]}
	m.server = newTestServer(t, nil).Server
	m.server.publisher = &fakePublisher{publish: m.publish}
	return m
}

func (m *mutant) publish(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
	outcomes := make([]schema.Outcome, len(items))
	for i := range items {
		message, err := items[i].Message(schema.Subjects{Root: schema.DefaultRoot}, mutantLimit)
		if err != nil {
			return nil, err
		}
		m.messages = append(m.messages, message)
		outcomes[i] = schema.Stored
		if message.DeadLetter != "" {
			outcomes[i] = schema.Rejected
		}
	}
	return outcomes, nil
}

func (m *mutant) post(what string, root any) {
	m.t.Helper()
	if m.folder == schema.Telegram {
		m.postUpdate(what, root)
		return
	}
	deliveries, isArray := root.([]any)
	if !isArray {
		deliveries = []any{root}
	}
	var n neighbours
	body, err := json.Marshal(slices.Concat([]any{n.delivery()}, n.among(deliveries), []any{n.delivery()}))
	if err != nil {
		m.t.Fatal(err)
	}
	m.do(what, "/webhooks/meta", headerSignature, simulate.Sign(testSecret, body), body, http.StatusOK)
	m.check(what, deliveries, int(n))
}

// postUpdate posts to the webhook of a bot, which accepts one update at a time.
func (m *mutant) postUpdate(what string, root any) {
	m.t.Helper()
	body, err := json.Marshal(root)
	if err != nil {
		m.t.Fatal(err)
	}
	status := http.StatusOK
	if _, isObject := root.(map[string]any); !isObject {
		status = http.StatusBadRequest
	}
	m.do(what, "/webhooks/telegram/"+testBot, headerTelegram, testBotToken, body, status)
	m.check(what, []any{root}, 0)
}

func (m *mutant) do(what, path, header, value string, body []byte, status int) {
	m.t.Helper()
	m.messages = nil
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	m.server.ServeHTTP(w, r)
	if w.Code != status {
		m.t.Fatalf("%s: answered %d %s, want %d", what, w.Code, w.Body, status)
	}
}

func (m *mutant) check(what string, deliveries []any, good int) {
	m.t.Helper()
	stored := map[string]int{}
	for _, message := range m.messages {
		id := strings.TrimSuffix(message.ID, ":standby")
		id = id[strings.LastIndexByte(id, ':')+1:]
		if stored[id]++; !strings.HasPrefix(id, neighbour) {
			checkMessage(m.t, message)
		}
	}
	for n := range good {
		if id := fmt.Sprint(neighbour, n); stored[id] != 1 {
			m.t.Errorf("%s: the good item %s is stored %d times", what, id, stored[id])
		}
	}
	want, all := good, true
	for _, delivery := range deliveries {
		n, exactly := m.kept(delivery)
		want += n
		all = all && exactly
	}
	if len(m.messages) < want || all && len(m.messages) > want {
		m.t.Errorf("%s: %d events and dead letters with %d good ones, want %d", what, len(m.messages), good, want)
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// checkSame makes sure that the unchanged delivery is understood: it results in as many
// messages as its golden file has.
func (m *mutant) checkSame(file sample) {
	m.t.Helper()
	text, err := os.ReadFile(file.golden())
	if err != nil {
		m.t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(text, &want); err != nil {
		m.t.Fatal(err)
	}
	got := slices.DeleteFunc(slices.Clone(m.messages), func(message schema.Message) bool {
		return strings.Contains(message.ID, ":"+neighbour)
	})
	if len(got) != len(want.Messages) {
		m.t.Fatalf("unchanged: %d events and dead letters, and %d in %s", len(got), len(want.Messages), file.golden())
	}
}

// neighbours counts the good items next to a mutation.
type neighbours int

// neighbour starts the id of a good item; its number follows.
const neighbour = "good_"

func (n *neighbours) item() map[string]any {
	*n++
	return map[string]any{
		"sender": map[string]any{"id": "u"}, "recipient": map[string]any{"id": "1"}, "timestamp": 1700000000000,
		"postback": map[string]any{"mid": fmt.Sprint(neighbour, int(*n-1)), "payload": "ok"},
	}
}

func (n *neighbours) delivery() any {
	return map[string]any{"object": "page", "entry": []any{map[string]any{"id": "1", "messaging": []any{n.item()}}}}
}

// among returns a copy of the deliveries with a good item at the end of every list of
// messaging items.
func (n *neighbours) among(deliveries []any) []any {
	out := slices.Clone(deliveries)
	for i := range out {
		delivery, isObject := out[i].(map[string]any)
		entries, isList := delivery["entry"].([]any)
		if !isObject || !isList || delivery["object"] != "page" && delivery["object"] != "instagram" {
			if isList && delivery["object"] == objectWhatsApp {
				out[i] = n.amongMessages(delivery)
			}
			continue
		}
		entries = slices.Clone(entries)
		for j := range entries {
			entries[j] = n.inEntry(entries[j])
		}
		delivery = maps.Clone(delivery)
		delivery["entry"] = append(entries, map[string]any{"id": "1", "messaging": []any{n.item()}})
		out[i] = delivery
	}
	return out
}

// amongMessages puts a good WhatsApp message before and after those of each change that
// still names its account.
func (n *neighbours) amongMessages(delivery map[string]any) any {
	delivery = deepClone(delivery).(map[string]any)
	for _, value := range whatsappValues(delivery) {
		messages, isList := value["messages"].([]any)
		if number, isText := textAt(value, "metadata", "phone_number_id").(string); !isList || !isText || number == "" || len(number) > schema.MaxAccount {
			continue
		}
		value["messages"] = slices.Concat([]any{n.message()}, messages, []any{n.message()})
	}
	return delivery
}

func (n *neighbours) message() any {
	*n++
	return map[string]any{
		"from": "1", "id": fmt.Sprint(neighbour, int(*n-1)), "timestamp": "1700000000", "type": "button",
		"button": map[string]any{"payload": "ok", "text": "OK"},
	}
}

// inEntry does not change an entry whose id is not a valid account, because on Instagram
// all its items are malformed.
func (n *neighbours) inEntry(entry any) any {
	lists, isObject := entry.(map[string]any)
	if id, _ := lists["id"].(string); !isObject || len(id) > schema.MaxAccount {
		return entry
	}
	lists = maps.Clone(lists)
	if items, isList := lists["messaging"].([]any); isList {
		lists["messaging"] = append(slices.Clone(items), n.item())
	}
	if items, isList := lists["changes"].([]any); isList {
		lists["changes"] = append(slices.Clone(items), map[string]any{"field": "messaging_postbacks", "value": n.item()})
	}
	return lists
}
