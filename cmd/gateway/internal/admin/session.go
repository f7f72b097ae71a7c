package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	sessionCookie = "gateway_session"
	sessionTime   = 12 * time.Hour
	// maxLogin is the largest body of a login, in bytes.
	maxLogin = 4 << 10
	// loginsPerSecond limits how many tokens somebody can try.
	loginsPerSecond = 5
)

// newLogin returns the handler that exchanges the token for a cookie. A form of another
// page cannot send what it expects.
func newLogin(access Access) http.Handler {
	limit := rate.NewLimiter(loginsPerSecond, loginsPerSecond)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Token string `json:"token"`
		}
		token := access.Token()
		switch {
		case r.Header.Get("X-Gateway-Action") == "" || r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "expected the header X-Gateway-Action and a JSON body", http.StatusForbidden)
		case !limit.Allow():
			http.Error(w, "too many logins: wait a second", http.StatusTooManyRequests)
		case json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLogin)).Decode(&body) != nil:
			http.Error(w, `expected {"token":"..."}`, http.StatusBadRequest)
		case token == "" || !equalText(body.Token, token):
			http.Error(w, "this is not the token in GATEWAY_ADMIN_TOKEN", http.StatusUnauthorized)
		default:
			http.SetCookie(w, &http.Cookie{
				Name: sessionCookie, Value: newSession(token, time.Now().Add(sessionTime)), Path: "/", MaxAge: int(sessionTime.Seconds()),
				HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
			})
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// newSession returns the value of a cookie: when it ends, and a proof that whoever made it
// knows the token. A new token ends all sessions.
func newSession(token string, ends time.Time) string {
	end := strconv.FormatInt(ends.Unix(), 10)
	return end + "." + proof(token, end)
}

func proof(token, end string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("session of the admin listener until " + end))
	return hex.EncodeToString(mac.Sum(nil))
}

// hasSession reports whether a request has a cookie of newLogin.
func hasSession(r *http.Request, token string, now time.Time) bool {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	end, given, _ := strings.Cut(cookie.Value, ".")
	ends, err := strconv.ParseInt(end, 10, 64)
	return err == nil && now.Unix() < ends && equalText(given, proof(token, end))
}
