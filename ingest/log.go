package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// logInterval is the time between two lines of one kind that anybody can cause.
const logInterval = time.Second

// logDelivery writes the line of a delivery. It contains no payload and nothing about
// a user. Only at debug level it adds the detail of a dead letter, which can quote the
// item. err is what the delivery is answered with.
func (s *Server) logDelivery(ctx context.Context, d *delivery, err error) {
	outcome := d.outcome(err)
	level := logLevel(outcome)
	if !s.log.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	account, accounts := d.accounts()
	attrs := append(make([]slog.Attr, 0, 14), // the most there can be
		slog.String("outcome", outcome), slog.Int("status", statusOf(err)),
		slog.Int("accepted", d.counts.accepted), slog.Int("duplicates", d.counts.duplicates),
		slog.Int("ignored", d.counts.ignored), slog.Int("rejected", d.counts.rejected),
		slog.String("platform", d.platform()), slog.String("account", account),
		slog.String("duration", now.Sub(d.received).String()))
	if accounts > shownAccounts {
		attrs = append(attrs, slog.Int("accounts", accounts))
	}
	if d.span != nil {
		attrs = append(attrs, slog.String("trace_id", d.span.SpanContext().TraceID().String()))
	}
	switch outcome {
	case outcomeFailed:
		attrs = append(attrs, slog.Int("failed", d.counts.failed), slog.String("reason", d.storeErr.Error()))
	case outcomeRefused:
		attrs = append(attrs, slog.String("reason", err.Error()))
	case outcomeRejected:
		reason, detail := d.rejectionReason()
		attrs = append(attrs, slog.String("reason", string(reason)))
		if detail != "" && s.log.Enabled(ctx, slog.LevelDebug) {
			attrs = append(attrs, slog.String("detail", detail))
		}
	}
	line := slog.NewRecord(now, level, "delivery", 0) // LogAttrs would look up the place in the code
	line.AddAttrs(attrs...)
	_ = s.log.Handler().Handle(ctx, line)
}

func logLevel(outcome string) slog.Level {
	switch outcome {
	case outcomeFailed:
		return slog.LevelError
	case outcomeRefused, outcomeRejected:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// rejectionLog counts rejections for one reason and limits their lines in the log.
type rejectionLog struct {
	counter prometheus.Counter
	lines   rate.Sometimes
}

// reject counts and logs a request that was rejected, and returns err.
func (s *Server) reject(r *request, err error) error {
	var rejected *rejection
	if !errors.As(err, &rejected) {
		return err
	}
	s.activity.rejected(r, rejected)
	r.trail.rejected = asRejection(rejected)
	reasons := s.rejections[rejected]
	reasons.counter.Inc()
	if rejected.help == "" {
		return err
	}
	reasons.lines.Do(func() {
		attrs := []any{"reason", rejected.reason, "help", rejected.help, "remote", s.remote(r)}
		if r.account != "" {
			attrs = append(attrs, r.hook.account, r.account)
		}
		s.log.Warn("request refused because of its signature", attrs...)
	})
	return err
}
