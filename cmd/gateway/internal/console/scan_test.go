package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish/analytics"
)

// scanned returns the last line of a scan's response.
func (c *testConsole) scanned(path string, result any) {
	c.Helper()
	status, text := c.do("GET", path, "")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var last struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); status != 200 || err != nil || last.Error != "" {
		c.Fatalf("%s: %d %v\n%s", path, status, err, text)
	}
	if err := json.Unmarshal(last.Result, result); err != nil {
		c.Fatalf("%s: %v\n%s", path, err, text)
	}
}

// testScans are scans without a console's pages.
func testScans(t *testing.T) (*Console, *scans) {
	ctx, stop := context.WithCancel(context.Background())
	c := &Console{ctx: ctx, stop: stop, scans: newScans()}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c, c.scans
}

// TestScansTakeTurns: viewers who ask for the same share a scan; another one waits, and
// each ends when its last viewer has gone.
func TestScansTakeTurns(t *testing.T) {
	c, s := testScans(t)
	begun := make(chan string, 10)
	ended := make(chan error, 10)
	run := func(name string) scanFunc {
		return func(ctx context.Context, progress analytics.Progress) (any, error) {
			progress(1, 2)
			begun <- name
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
	}
	first, leaveFirst := s.join(c, "a", run("a"))
	<-begun
	shared, leaveShared := s.join(c, "a", run("a again"))
	second, leaveSecond := s.join(c, "b", run("b"))
	if first != shared || first == second {
		t.Fatal("the wrong scan is shared")
	}
	if state, _ := first.read(); state.Done != 1 || state.Total != 2 || state.Waiting {
		t.Errorf("the first: %+v", state)
	}
	if state, _ := second.read(); !state.Waiting {
		t.Errorf("the second does not wait: %+v", state)
	}
	leaveFirst()
	select {
	case name := <-begun:
		t.Fatalf("%s began while somebody looks at a", name)
	case err := <-ended:
		t.Fatalf("it ended while somebody looks: %v", err)
	default:
	}
	leaveShared()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if name := <-begun; name != "b" {
		t.Errorf("%s began", name)
	}
	again, leaveAgain := s.join(c, "a", run("a once more"))
	if again == first {
		t.Error("a scan that was canceled is joined")
	}
	leaveSecond()
	<-ended
	if name := <-begun; name != "a once more" {
		t.Errorf("%s began", name)
	}
	leaveAgain()
}

// TestScanIsServed: the lines of a response, and what becomes of a scan whose viewer has
// gone.
func TestScanIsServed(t *testing.T) {
	c, s := testScans(t)
	begun, canceled := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(c, w, r, func(ctx context.Context, progress analytics.Progress) (any, error) {
			switch r.URL.Path {
			case "/good":
				progress(1, 2)
				return "done", nil
			case "/bad":
				return nil, errors.New("no stream")
			}
			close(begun)
			<-ctx.Done()
			close(canceled)
			return nil, ctx.Err()
		})
	}))
	defer server.Close()
	for path, want := range map[string]string{"/good": `"result":"done"}`, "/bad": `"error":"no stream"}`} {
		answer := newAnswer()
		get, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = answer.body.ReadFrom(get.Body)
		get.Body.Close()
		if text := strings.TrimSpace(answer.body.String()); err != nil || !strings.HasSuffix(text, want) {
			t.Errorf("%s: %v %s", path, err, text)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/endless", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	<-begun // a scan that is canceled before its turn does not run at all
	cancel()
	select {
	case <-canceled:
	case <-time.After(20 * time.Second):
		t.Fatal("the scan goes on without a viewer")
	}
}
