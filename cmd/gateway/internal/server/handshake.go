package server

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// handshakeFailure is a reason why a TLS handshake fails. net/http gives only a line of
// text, so the reason is recognised by what the line contains.
type handshakeFailure struct {
	reason   string   // in the metric
	contains []string // one of them
	help     string   // for the log; empty for what scanners cause all day
}

// handshakeFailures are tried in this order.
var handshakeFailures = []handshakeFailure{
	{"no_certificate", []string{"client didn't provide a certificate"},
		"GATEWAY_TLS_CLIENT_CA requires a certificate that an authority in that file has signed, and the caller has none: " +
			"enable client certificates (mTLS) for the app in Meta's App Dashboard; Telegram has none"},
	{"bad_certificate", []string{"failed to verify certificate", "client certificate"},
		"the caller's certificate has expired, or another authority has signed it: compare GATEWAY_TLS_CLIENT_CA with what the platform documents"},
	{"refused_by_caller", []string{"remote error: "},
		"the caller does not accept the gateway's certificate: check that GATEWAY_TLS_CERT is valid and contains the host name and the whole chain"},
	{"other", []string{""}, ""},
}

// errorLog receives the lines of net/http, and writes them at the level debug. It counts
// failed TLS handshakes by their reason, and warns once a minute of those that keep
// deliveries away. A panic in a handler is an error.
type errorLog struct {
	log    *slog.Logger
	failed *prometheus.CounterVec
	limit  map[string]*rate.Sometimes
}

func newErrorLog(log *slog.Logger, reg prometheus.Registerer) *errorLog {
	l := &errorLog{log: log, limit: make(map[string]*rate.Sometimes), failed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_tls_handshake_failures_total",
		Help: "TLS handshakes on the public listener that failed, by the reason.",
	}, []string{"reason"})}
	reg.MustRegister(l.failed)
	for _, f := range handshakeFailures {
		l.failed.WithLabelValues(f.reason)
		l.limit[f.reason] = &rate.Sometimes{Interval: time.Minute}
	}
	return l
}

// Write receives one line of a [log.Logger]. It never fails.
func (l *errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: panic serving ") {
		l.log.Error("a request failed because of a bug in the gateway: please report it", "panic", text)
		return len(line), nil
	}
	l.log.Debug(text)
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		remote, cause, _ := strings.Cut(rest, ": ")
		l.handshakeFailed(remote, cause)
	}
	return len(line), nil
}

func (l *errorLog) handshakeFailed(remote, cause string) {
	f := classify(cause)
	l.failed.WithLabelValues(f.reason).Inc()
	if f.help == "" {
		return
	}
	l.limit[f.reason].Do(func() {
		// The caller's certificate can make the text long.
		l.log.Warn("TLS handshake failed", "reason", f.reason, "error", fmt.Sprintf("%.300s", cause), "help", f.help, "remote", remote)
	})
}

func classify(cause string) handshakeFailure {
	return handshakeFailures[slices.IndexFunc(handshakeFailures, func(f handshakeFailure) bool {
		return slices.ContainsFunc(f.contains, func(text string) bool { return strings.Contains(cause, text) })
	})]
}
