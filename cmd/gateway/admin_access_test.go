package main

import (
	"net/http"
	"strings"
	"testing"
)

// adminPaths are what the admin listener serves, by who may have it.
var (
	openPaths      = []string{"/metrics", "/healthz", "/readyz"}
	protectedPaths = []string{"/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine", "/debug/pprof/symbol"}
)

// getWith sends a GET with the headers, of which Host is one, and returns the response.
func getWith(t *testing.T, url string, headers ...string) (int, string) {
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
	return (&gatewayProcess{t: t}).do(request)
}

// TestAdminRejectsWebPages: a page in the browser of somebody who works on this
// machine can reach the listener, under a name of its own or from its own origin.
func TestAdminRejectsWebPages(t *testing.T) {
	p := startGateway(t, t.TempDir())
	port := p.at.Admin[strings.LastIndex(p.at.Admin, ":"):]
	own := strings.TrimPrefix(p.at.Admin, "http://")
	for _, test := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"the address", nil, 200},
		{"localhost", []string{"Host", "localhost" + port}, 200},
		{"localhost, another port", []string{"Host", "LocalHost:1234"}, 200},
		{"localhost without a port", []string{"Host", "localhost"}, 200},
		{"another loopback address", []string{"Host", "127.9.9.9" + port}, 200},
		{"IPv6", []string{"Host", "[::1]" + port}, 200},
		{"IPv6 without a port", []string{"Host", "[::1]"}, 200},
		{"a rebound name", []string{"Host", "evil.example" + port}, 403},
		{"a name that begins like an address", []string{"Host", "127.0.0.1.evil.example" + port}, 403},
		{"a name that begins like localhost", []string{"Host", "localhost.evil.example"}, 403},
		{"a name that ends like localhost", []string{"Host", "evil.localhost"}, 403},
		{"user and name", []string{"Host", "localhost@evil.example"}, 403},
		{"the address of another machine", []string{"Host", "192.0.2.1" + port}, 403},
		{"every address", []string{"Host", "0.0.0.0" + port}, 403},
		{"its own origin", []string{"Origin", p.at.Admin}, 200},
		{"a foreign origin", []string{"Origin", "http://evil.example"}, 403},
		{"a foreign origin with this address in its name", []string{"Origin", "http://" + own + ".evil.example"}, 403},
		{"an origin on this machine", []string{"Origin", "http://localhost:3000"}, 403},
		{"an opaque origin", []string{"Origin", "null"}, 403},
		{"an image of a foreign page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image"}, 403},
		{"a script of another port", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Dest", "script"}, 403},
		{"a link of a foreign page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document"}, 200},
		{"its own page", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "empty"}, 200},
		{"the address bar", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Dest", "document"}, 200},
	} {
		for _, path := range append(openPaths, protectedPaths...) {
			if status, body := getWith(t, p.at.Admin+path, test.headers...); status != test.status {
				t.Errorf("%s: %s is answered %d %.200s, want %d", test.name, path, status, body, test.status)
			}
		}
	}
	p.terminate()
}
