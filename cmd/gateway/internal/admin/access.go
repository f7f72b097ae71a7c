package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Access decides who may use the admin listener.
//
// A loopback address keeps other machines out, but not the web pages in the browser
// of somebody who works on this one. With DNS rebinding a page reaches the listener
// under a host name of its own, so on a loopback address only names are accepted
// that nobody else can own.
type Access struct {
	Loopback bool          // the listener is on a loopback address
	Token    func() string // returns the current token, empty if there is none
}

// IsLoopback reports whether an address is reached only from this machine.
func IsLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// rejectWebPages rejects requests that a page of another site makes.
func (a Access) rejectWebPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.Loopback && !isLocalHost(r.Host):
			http.Error(w, "forbidden: the admin listener is on a loopback address and accepts only the hosts localhost and 127.0.0.1 (or [::1]); "+
				"set GATEWAY_ADMIN_LISTEN to another address to use it under another name", http.StatusForbidden)
		case isForeign(r):
			http.Error(w, "forbidden: the request comes from a web page of another origin", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLocalHost reports whether a Host header names this machine itself.
func isLocalHost(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() || strings.EqualFold(name, "localhost")
}

// isForeign reports whether a browser says that a page of another origin made the
// request. Following a link is not foreign: the page does not see the response.
func isForeign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		return err != nil || !strings.EqualFold(u.Host, r.Host)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Dest") != "document"
}

// protect requires the token, except on a loopback address.
func (a Access) protect(next http.HandlerFunc) http.HandlerFunc {
	return a.protectPage(next, nil).ServeHTTP
}

// protectPage is protect with a page that asks a person for the token.
func (a Access) protectPage(next http.Handler, login []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch token := a.Token(); {
		case a.Loopback:
			next.ServeHTTP(w, r)
		case token == "":
			http.Error(w, "forbidden: the admin listener is not on a loopback address; set GATEWAY_ADMIN_TOKEN and send it as Authorization: Bearer, "+
				"or set GATEWAY_ADMIN_LISTEN to a loopback address", http.StatusForbidden)
		case hasToken(r, token), hasSession(r, token, time.Now()):
			next.ServeHTTP(w, r)
		case login != nil && r.URL.Path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html"):
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write(login) // an error means that the browser hung up
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="postback-gateway admin"`)
			http.Error(w, "unauthorized: send GATEWAY_ADMIN_TOKEN as Authorization: Bearer", http.StatusUnauthorized)
		}
	})
}

// hasToken reports whether a request has the token in its header.
func hasToken(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return equalText(given, token) && strings.EqualFold(scheme, "Bearer")
}

// equalText compares hashes, so that the time depends on neither content nor length.
func equalText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// secure sets the headers of what a browser displays: only the gateway's own files are
// loaded, no script is inline, and no other page can embed it.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
