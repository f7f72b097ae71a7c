package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/postback-gateway/gateway/schema"
)

// counts is what became of the items of a delivery, as the caller is told.
type counts struct {
	accepted, duplicates, ignored, rejected, failed int
}

func tally(b *batch, outcomes []schema.Outcome) counts {
	t := counts{rejected: b.surplus}
	for _, n := range b.ignored {
		t.ignored += n
	}
	for _, outcome := range outcomes {
		switch outcome {
		case schema.Stored:
			t.accepted++
		case schema.Duplicate:
			t.duplicates++
		case schema.Rejected:
			t.rejected++
		default:
			t.failed++
		}
	}
	return t
}

func (t counts) json() []byte {
	return fmt.Appendf(nil, `{"accepted":%d,"duplicates":%d,"ignored":%d,"rejected":%d}`,
		t.accepted, t.duplicates, t.ignored, t.rejected)
}

// logDelivery writes the one line of a delivery. It holds no payload and nothing of
// a user; at debug alone it has what the dead letter says of a malformed item, which
// can quote it. err is what the delivery is answered with.
func (s *Server) logDelivery(ctx context.Context, d *delivery, err error) {
	outcome := d.outcome(err)
	level := levelOf(outcome)
	if !s.log.Enabled(ctx, level) {
		return
	}
	account, accounts := d.accounts()
	attrs := append(make([]slog.Attr, 0, 14), // all that there can be
		slog.String("outcome", outcome), slog.Int("status", statusOf(err)),
		slog.Int("accepted", d.counts.accepted), slog.Int("duplicates", d.counts.duplicates),
		slog.Int("ignored", d.counts.ignored), slog.Int("rejected", d.counts.rejected),
		slog.String("platform", d.namedPlatform()), slog.String("account", account),
		slog.String("duration", time.Since(d.began).String()))
	if accounts > shownAccounts {
		attrs = append(attrs, slog.Int("accounts", accounts))
	}
	if d.span != nil {
		attrs = append(attrs, slog.String("trace_id", d.span.SpanContext().TraceID().String()))
	}
	switch outcome {
	case outcomeFailed:
		attrs = append(attrs, slog.Int("failed", d.counts.failed), slog.String("reason", d.cause.Error()))
	case outcomeRefused:
		attrs = append(attrs, slog.String("reason", err.Error()))
	case outcomeRejected:
		reason, detail := d.whyRejected()
		attrs = append(attrs, slog.String("reason", string(reason)))
		if detail != "" && s.log.Enabled(ctx, slog.LevelDebug) {
			attrs = append(attrs, slog.String("detail", detail))
		}
	}
	s.log.LogAttrs(ctx, level, "delivery", attrs...)
}

// levelOf tells how much the outcome of a delivery is of an operator's concern.
func levelOf(outcome string) slog.Level {
	switch outcome {
	case outcomeFailed:
		return slog.LevelError
	case outcomeRefused, outcomeRejected:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// refusalInterval is between two lines of the same kind about requests that anybody
// can send.
const refusalInterval = time.Second

// refusalLog tells why signatures fail, without letting anybody who can reach
// the webhook fill the log: one line a second for each reason. The metric
// counts them all.
type refusalLog struct {
	log   *slog.Logger
	help  map[signatureError]string
	limit map[signatureError]*rate.Sometimes
}

// newRefusalLog knows the reasons that help has words for, and no other.
func newRefusalLog(log *slog.Logger, help map[signatureError]string) refusalLog {
	l := refusalLog{log: log, help: help, limit: make(map[signatureError]*rate.Sometimes, len(help))}
	for reason := range help {
		l.limit[reason] = &rate.Sometimes{Interval: refusalInterval}
	}
	return l
}

// write takes further attributes as slog does.
func (l refusalLog) write(reason signatureError, remote string, further ...any) {
	l.limit[reason].Do(func() {
		l.log.With(further...).Warn("request refused because of its signature",
			"reason", string(reason), "help", l.help[reason], "remote", remote)
	})
}
