package ingest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/schema"
)

func (ts *testServer) request(t *testing.T, method, path string, body []byte, header map[string]string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, ts.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return ts.do(t, r)
}

func signed(body []byte, more map[string]string) map[string]string {
	header := map[string]string{"Content-Type": "application/json", headerSignature: signatureOf(testSecret, body)}
	maps.Copy(header, more)
	return header
}

// wholes returns the stored deliveries among the messages.
func wholes(messages []schema.Message) (all []schema.Message) {
	for _, m := range messages {
		if strings.HasPrefix(m.Subject, schema.DeliveryRoot) {
			all = append(all, m)
		}
	}
	return all
}

func forwardMeta(cfg *Config) { cfg.Forward = []string{"meta"} }

// A forwarded delivery is stored byte for byte, behind its events, and does not count as
// one of them.
func TestWholeDelivery(t *testing.T) {
	ts := newTestServer(t, forwardMeta)
	body := []byte(`{"object":"page", "entry":[{"id":"PAGE","messaging":[{"sender":{"id":"U"},"recipient":{"id":"PAGE"},` +
		`"timestamp":1,"postback":{"mid":"m_1","payload":"caf\u00e9"}}]}]}` + "\n")
	got := ts.request(t, http.MethodPost, metaPath, body, signed(body, map[string]string{
		"X-Hub-Signature": "sha1=00", "User-Agent": "facebookexternalua", "X-Forwarded-For": "192.0.2.1", "Authorization": "Basic x",
	}))
	if got.status != http.StatusOK || got.body != `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}` {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
	messages := ts.pub.taken()
	if len(messages) != 2 || messages[1].Subject != "delivery.postback.v1.meta.PAGE" || !bytes.Equal(messages[1].Data, body) {
		t.Fatalf("stored %+v", messages)
	}
	d, err := schema.DecodeDelivery(messages[1].Header, messages[1].Data)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Content-Type", "User-Agent", "X-Hub-Signature", "X-Hub-Signature-256"}
	if names := slices.Sorted(maps.Keys(d.Header)); !slices.Equal(names, want) {
		t.Errorf("headers %v, want %v", names, want)
	}
}

func TestAccountOfWhole(t *testing.T) {
	entry := `{"id":%q,"messaging":[{"sender":{"id":"U"},"recipient":{"id":"R"},"message":{"mid":"m","text":"hello"}}]}`
	a, b := fmt.Sprintf(entry, "A"), fmt.Sprintf(entry, "B")
	for name, test := range map[string]struct{ body, subject string }{
		"one":             {`{"object":"page","entry":[` + a + `]}`, "delivery.postback.v1.meta.A"},
		"one twice":       {`{"object":"page","entry":[` + a + `,` + a + `]}`, "delivery.postback.v1.meta.A"},
		"two":             {`{"object":"page","entry":[` + a + `,` + b + `]}`, "delivery.postback.v1.meta._"},
		"none":            {`{"object":"page","entry":[]}`, "delivery.postback.v1.meta._"},
		"not JSON":        {`no`, "delivery.postback.v1.meta._"},
		"unknown object":  {`{"object":"user","entry":[{"id":"1","changes":[{"field":"likes","value":{}}]}]}`, "delivery.postback.v1.meta.1"},
		"a very long id":  {`{"object":"page","entry":[` + fmt.Sprintf(entry, strings.Repeat("x", 200)) + `]}`, "delivery.postback.v1.meta._"},
		"a number for id": {`{"object":"page","entry":[{"id":17,"changes":[{"field":"feed","value":{}}]}]}`, "delivery.postback.v1.meta.17"},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, forwardMeta)
			ts.request(t, http.MethodPost, metaPath, []byte(test.body), signed([]byte(test.body), nil))
			got := wholes(ts.pub.taken())
			if len(got) != 1 || got[0].Subject != test.subject {
				t.Errorf("stored %+v, want one on %s", got, test.subject)
			}
		})
	}
}

// Only what is verified and configured is stored whole.
func TestNotWhole(t *testing.T) {
	ts := newTestServer(t, func(cfg *Config) { cfg.Forward = []string{"telegram/" + testBot} })
	body := []byte(`{"object":"page","entry":[]}`)
	ts.request(t, http.MethodPost, metaPath, body, signed(body, nil))
	update := []byte(`{"update_id":1,"message":{"message_id":1,"text":"hello"}}`)
	for _, secret := range testBots {
		ts.request(t, http.MethodPost, telegramPath+secret.Bot, update, map[string]string{headerTelegram: secret.Token})
		ts.request(t, http.MethodPost, telegramPath+secret.Bot, update, map[string]string{headerTelegram: "wrong"})
	}
	subjects := map[string]bool{}
	for _, m := range wholes(ts.pub.taken()) {
		subjects[m.Subject] = true
	}
	if len(subjects) != 1 || !subjects["delivery.postback.v1.telegram."+testBot] {
		t.Errorf("stored on %v", subjects)
	}
}

// A delivery of which only the copy is not stored is delivered again.
func TestWholeNotStored(t *testing.T) {
	ts := newTestServer(t, forwardMeta)
	ts.pub.publish = func(_ context.Context, items []schema.Item) ([]schema.Outcome, error) {
		outcomes := make([]schema.Outcome, len(items))
		for i := range items {
			outcomes[i] = schema.Stored
		}
		outcomes[len(items)-1] = schema.Failed
		return outcomes, fmt.Errorf("no")
	}
	body := []byte(`{"object":"page","entry":[]}`)
	if got := ts.request(t, http.MethodPost, metaPath, body, signed(body, nil)); got.status != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503", got.status)
	}
}
