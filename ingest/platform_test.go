package ingest

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/schema"
)

// TestPlatforms: exactly the platforms have a row of a webhook, a row of
// simulate.Platforms, a directory of deliveries, and a page of the documentation.
func TestPlatforms(t *testing.T) {
	names := slices.Sorted(slices.Values(schema.PlatformNames()))
	for what, got := range map[string][]string{
		"rows of webhooks and metaPlatforms": platformsOfWebhooks(),
		"rows of simulate.Platforms":         platformsOfSimulate(),
		"directories in testdata":            namesOf(t, "testdata/*"),
		"pages in docs/platforms":            slices.DeleteFunc(namesOf(t, "../docs/platforms/*.md"), func(name string) bool { return name == "README" }),
	} {
		slices.Sort(got)
		if !slices.Equal(got, names) {
			t.Errorf("%s: %v, expected %v", what, got, names)
		}
	}
	for _, platform := range schema.Platforms() {
		if !slices.ContainsFunc(webhooks, func(hook webhook) bool { return hook.name == platform.Webhook }) {
			t.Errorf("%s has no row in webhooks: %q", platform.Name, platform.Webhook)
		}
	}
}

func platformsOfWebhooks() (names []string) {
	for i := range webhooks {
		if webhooks[i].name != labelMeta {
			names = append(names, webhooks[i].name)
		}
	}
	for _, p := range metaPlatforms {
		names = append(names, p.name)
	}
	return names
}

func platformsOfSimulate() (names []string) {
	for name := range simulate.Platforms {
		names = append(names, name)
	}
	return names
}

// namesOf returns the names of files without their endings.
func namesOf(t *testing.T, pattern string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		names = append(names, name)
	}
	return names
}

// From here to TestNewPlatform is all that ingest needs for a new platform with its own
// webhook: a file like telegram.go, and a row.
const (
	pagerPassword = "let-me-in"
	headerPager   = "X-Pager-Password"
)

var rejectPagerPassword = &rejection{"mismatch", "the password is wrong: expected the pager's", newProblem(http.StatusUnauthorized, "password does not match")}

// pagerWebhook accepts {"from":…,"text":…}.
var pagerWebhook = webhook{
	name: "pager", path: "/webhooks/pager/{line}", account: "line",
	rejections: []*rejection{rejectPagerPassword},
	authenticate: func(_ *liveSecrets, r *request) (check, error) {
		if !equalText(r.Header.Get(headerPager), pagerPassword) {
			return nil, rejectPagerPassword
		}
		return nil, nil
	},
	decode: decodePage,
}

func decodePage(b *batch, body []byte) {
	var page struct {
		From stringOrInt `json:"from"`
		Text string      `json:"text"`
	}
	e := event{body: body}
	err := decodeJSON(body, &page)
	if page.Text != "" {
		e.Kind = schema.KindButton
	}
	e.Platform, e.Account.ID, e.User.ID = "pager", b.account, string(page.From)
	e.Channel, e.Payload = schema.ChannelPrimary, newPayload(page.Text)
	b.add(&e, err)
}

// TestNewPlatform follows the recipe of CONTRIBUTING.md with a platform that does not
// exist.
func TestNewPlatform(t *testing.T) {
	var log bytes.Buffer
	publisher, reg := &fakePublisher{}, prometheus.NewRegistry()
	server, err := newServer(testConfig(), publisher, slog.New(slog.NewJSONHandler(&log, nil)), reg, append(slices.Clone(webhooks), pagerWebhook))
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	ts := &testServer{Server: server, url: listener.URL}
	for _, test := range []struct {
		body, password string
		status         int
		want           string // the response, or the detail of the error
		subject        string // of the message; empty for none
	}{
		{`{"from":7,"text":"plan:pro"}`, pagerPassword, 200, `{"accepted":1,"duplicates":0,"ignored":0,"rejected":0}`, "postback.v1.pager.door.plan.pro"},
		{`{"from":7}`, pagerPassword, 200, `{"accepted":0,"duplicates":0,"ignored":1,"rejected":0}`, ""},
		{`{"text":"plan:pro"}`, pagerPassword, 200, `{"accepted":0,"duplicates":0,"ignored":0,"rejected":1}`, "deadletter.postback.v1.pager.malformed_item"},
		{`{"from":{},"text":"plan:pro"}`, pagerPassword, 200, `{"accepted":0,"duplicates":0,"ignored":0,"rejected":1}`, "deadletter.postback.v1.pager.malformed_item"},
		{`{"from":7,"text":"plan:pro"}`, "guess", 401, "password does not match", ""},
	} {
		r, err := http.NewRequest(http.MethodPost, ts.url+"/webhooks/pager/door", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(headerPager, test.password)
		if a := ts.do(t, r); a.status != test.status || !strings.Contains(a.body, test.want) {
			t.Errorf("%s: got %d %s, want %d %s", test.body, a.status, a.body, test.status, test.want)
		}
		if got := publisher.taken(); len(got) > 1 || len(got) == 1 != (test.subject != "") || len(got) == 1 && got[0].Subject != test.subject {
			t.Errorf("%s: published %v, want %q", test.body, got, test.subject)
		}
	}
	const want = `
# HELP gateway_http_requests_total Requests to the public listener, by handler and status code.
# TYPE gateway_http_requests_total counter
gateway_http_requests_total{code="200",handler="pager"} 4
gateway_http_requests_total{code="401",handler="pager"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "gateway_http_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(server.metrics.signatureFailures.WithLabelValues("pager", "mismatch")); n != 1 {
		t.Errorf("%v rejections are counted", n)
	}
	for _, part := range []string{rejectPagerPassword.help, `"line":"door"`, `"outcome":"stored"`, `"platform":"pager","account":"door"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, log.String())
		}
	}
}
