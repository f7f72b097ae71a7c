package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The paths of the admin listener, by who may use them.
var (
	openPaths      = []string{"/metrics", "/healthz", "/readyz", "/assets/style.css"}
	protectedPaths = []string{"/", "/api/status", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine", "/debug/pprof/symbol"}
)

var testPages = Pages{
	Console: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the console") }),
	Assets:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an asset") }),
	Login:   []byte("<title>log in</title>"),
}

// get sends a GET with the headers, of which Host is one, and returns the response.
func get(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestReadiness(t *testing.T) {
	var r Readiness
	down := errors.New("the stream is gone")
	r.AddCheck("store", func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("a check without a deadline")
		}
		return down
	})
	admin := httptest.NewServer(New(NewRegistry("v"), &r, Access{Loopback: true}, testPages))
	defer admin.Close()
	probe := func() string {
		_, body := get(t, admin.URL+"/readyz")
		return body
	}
	if got := probe(); got != "not ready: store: the stream is gone\n" {
		t.Errorf("got %q", got)
	}
	down = nil
	if got := probe(); got != "ready\n" {
		t.Errorf("got %q", got)
	}
	if metrics := func() string { _, body := get(t, admin.URL+"/metrics"); return body }(); !strings.Contains(metrics, "\ngateway_ready 1\n") {
		t.Errorf("no gateway_ready 1 in\n%s", metrics)
	}
	if notice := r.Drain(); notice != noticeTime {
		t.Errorf("notice of %s after a probe", notice)
	}
	if got := probe(); got != "not ready: shutting down\n" {
		t.Errorf("got %q", got)
	}
	if notice := new(Readiness).Drain(); notice != 0 {
		t.Errorf("notice of %s without a probe", notice)
	}
}

// TestAdminToken: off the loopback, what a probe and Prometheus need is open, and
// the rest needs the token.
func TestAdminToken(t *testing.T) {
	for _, test := range []struct {
		name          string
		token         string
		authorization string
		status        int
		reason        string
	}{
		{"no token is set", "", "", 403, "set GATEWAY_ADMIN_TOKEN"},
		{"no token is set, an empty one is sent", "", "Bearer ", 403, "set GATEWAY_ADMIN_TOKEN"},
		{"none is sent", "s3cret", "", 401, "Authorization: Bearer"},
		{"a wrong one", "s3cret", "Bearer s3cres", 401, "Authorization: Bearer"},
		{"the beginning", "s3cret", "Bearer s3cre", 401, "Authorization: Bearer"},
		{"without the scheme", "s3cret", "s3cret", 401, "Authorization: Bearer"},
		{"with another scheme", "s3cret", "Basic s3cret", 401, "Authorization: Bearer"},
		{"the token", "s3cret", "Bearer s3cret", 200, ""},
		{"the token, lower case", "s3cret", "bearer s3cret", 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			access := Access{Token: func() string { return test.token }}
			admin := httptest.NewServer(New(NewRegistry("v"), &Readiness{}, access, testPages))
			defer admin.Close()
			headers := []string{"Host", "gateway:8081"}
			if test.authorization != "" {
				headers = append(headers, "Authorization", test.authorization)
			}
			for _, path := range openPaths {
				if status, body := get(t, admin.URL+path, headers...); status != 200 {
					t.Errorf("%s is answered %d %.200s", path, status, body)
				}
			}
			for _, path := range protectedPaths {
				status, body := get(t, admin.URL+path, headers...)
				if status != test.status || !strings.Contains(body, test.reason) || strings.Contains(body, "s3cre") {
					t.Errorf("%s is answered %d %.200s, want %d and %q", path, status, body, test.status, test.reason)
				}
			}
		})
	}
}

// TestPage: the console is for browsers on this machine.
func TestPage(t *testing.T) {
	admin := httptest.NewServer(New(NewRegistry("v"), &Readiness{}, Access{Loopback: true, Token: func() string { return "" }}, testPages))
	defer admin.Close()
	if status, body := get(t, admin.URL+"/"); status != 200 || body != "the console" {
		t.Errorf("%d %s", status, body)
	}
}
