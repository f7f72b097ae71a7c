package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func login(t *testing.T, url, body string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url+"/login", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "gateway:8081"
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Gateway-Action", "login")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// TestLogin: a browser exchanges the token for a cookie that no script can read and no
// other page can send.
func TestLogin(t *testing.T) {
	token := "s3cret"
	admin := httptest.NewServer(New(NewRegistry("v"), &Readiness{}, Access{Token: func() string { return token }}, testPages))
	defer admin.Close()
	if status, body := get(t, admin.URL+"/", "Host", "gateway:8081", "Accept", "text/html"); status != 401 || !strings.Contains(body, "log in") {
		t.Errorf("a browser without the token sees %d %s", status, body)
	}
	for _, test := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"a wrong token", `{"token":"s3cres"}`, nil, 401},
		{"an empty token", `{"token":""}`, nil, 401},
		{"not JSON", `token=s3cret`, nil, 400},
		{"without the header of the page", `{"token":"s3cret"}`, []string{"X-Gateway-Action", ""}, 403},
		{"as a form", `{"token":"s3cret"}`, []string{"Content-Type", "text/plain"}, 403},
		{"from another origin", `{"token":"s3cret"}`, []string{"Origin", "https://evil.example"}, 403},
	} {
		if response := login(t, admin.URL, test.body, test.headers...); response.StatusCode != test.status || len(response.Cookies()) > 0 {
			t.Errorf("%s: %d with %v", test.name, response.StatusCode, response.Cookies())
		}
	}
	response := login(t, admin.URL, `{"token":"s3cret"}`)
	if response.StatusCode != 204 || len(response.Cookies()) != 1 {
		t.Fatalf("%d with %v", response.StatusCode, response.Cookies())
	}
	cookie := response.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, token) {
		t.Errorf("the cookie is %s", cookie)
	}
	sent := cookie.Name + "=" + cookie.Value
	if status, body := get(t, admin.URL+"/api/status", "Host", "gateway:8081", "Cookie", sent); status != 200 || body != "the console" {
		t.Errorf("with the cookie: %d %s", status, body)
	}
	if status, _ := get(t, admin.URL+"/api/status", "Host", "gateway:8081", "Cookie", sent+"0"); status != 401 {
		t.Errorf("with a changed cookie: %d", status)
	}
	token = "another"
	if status, _ := get(t, admin.URL+"/api/status", "Host", "gateway:8081", "Cookie", sent); status != 401 {
		t.Errorf("with the cookie of an old token: %d", status)
	}
}

func TestSessionEnds(t *testing.T) {
	now := time.Now()
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: sessionCookie, Value: newSession("s3cret", now.Add(time.Hour))})
	if !hasSession(request, "s3cret", now) || hasSession(request, "s3cret", now.Add(time.Hour)) || hasSession(request, "another", now) {
		t.Error("a session has to end with its time and with its token")
	}
}

func TestLoginsAreLimited(t *testing.T) {
	admin := httptest.NewServer(New(NewRegistry("v"), &Readiness{}, Access{Token: func() string { return "s3cret" }}, testPages))
	defer admin.Close()
	begin := time.Now()
	tried := 0
	for range 4 * loginsPerSecond {
		if login(t, admin.URL, `{"token":"guess"}`).StatusCode != http.StatusTooManyRequests {
			tried++
		}
	}
	if most := loginsPerSecond + int(time.Since(begin).Seconds()*loginsPerSecond) + 1; tried > most || tried == 0 {
		t.Errorf("%d tokens could be tried, want at most %d", tried, most)
	}
}

// TestConsoleIsProtected: no web page reaches the console by DNS rebinding or from another
// origin, and nothing that it loads comes from elsewhere.
func TestConsoleIsProtected(t *testing.T) {
	admin := httptest.NewServer(New(NewRegistry("v"), &Readiness{}, Access{Loopback: true, Token: func() string { return "" }}, testPages))
	defer admin.Close()
	for _, path := range []string{"/", "/api/status", "/assets/app.js"} {
		for _, foreign := range [][]string{
			{"Host", "gateway.evil.example"}, {"Host", "127.0.0.1.evil.example:8081"}, {"Host", "localhost", "Origin", "https://evil.example"},
			{"Host", "localhost", "Origin", "null"}, {"Host", "localhost", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "script"},
		} {
			if status, _ := get(t, admin.URL+path, foreign...); status != 403 {
				t.Errorf("%s with %v: %d", path, foreign, status)
			}
		}
		response, err := http.Get(admin.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
}
