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

// logDelivery writes the one line of a delivery. It holds no payload and nothing
// of a user.
func (s *Server) logDelivery(ctx context.Context, b *batch, t counts, err error) {
	level, message := slog.LevelDebug, "delivery stored"
	switch {
	case err != nil:
		level, message = slog.LevelError, "delivery not stored: answered 503, the platform delivers again"
	case b.notJSON:
		level, message = slog.LevelWarn, "delivery refused: the body is no JSON object, answered 400 and kept as a dead letter"
	case t.rejected > 0:
		level, message = slog.LevelWarn, "delivery stored, with dead letters"
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.Int("accepted", t.accepted), slog.Int("duplicates", t.duplicates),
		slog.Int("ignored", t.ignored), slog.Int("rejected", t.rejected), slog.Int("failed", t.failed),
		slog.Duration("duration", s.cfg.Now().Sub(b.receivedAt)),
	}
	if platform, account := b.origin(); platform != "" {
		attrs = append(attrs, slog.String("platform", platform), slog.String("account", account))
	}
	if detail := b.firstRejection(); detail != "" {
		attrs = append(attrs, slog.String("first_rejection", detail))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.LogAttrs(ctx, level, message, attrs...)
}

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
		l.limit[reason] = &rate.Sometimes{Interval: time.Second}
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
