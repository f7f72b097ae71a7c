package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

// bridge hands the server's log to slog. Its notices are detail to an operator
// of the gateway. It keeps the fatal one: the server does not return it.
type bridge struct {
	log     *slog.Logger
	fatal   atomic.Pointer[string]
	refusal rate.Sometimes
}

func newBridge(log *slog.Logger) *bridge {
	return &bridge{log: log, refusal: rate.Sometimes{Interval: time.Second}}
}

func (b *bridge) Noticef(format string, v ...any) { b.write(slog.LevelDebug, format, v) }
func (b *bridge) Warnf(format string, v ...any)   { b.write(slog.LevelWarn, format, v) }
func (b *bridge) Debugf(format string, v ...any)  { b.write(slog.LevelDebug, format, v) }
func (b *bridge) Tracef(format string, v ...any)  { b.write(slog.LevelDebug, format, v) }

// Errorf tells of refused logins once a second at most: whoever reaches the listener
// can cause them, as does each consumer whose token has been changed.
func (b *bridge) Errorf(format string, v ...any) {
	if strings.Contains(fmt.Sprintf(format, v...), server.ErrAuthentication.Error()) {
		b.refusal.Do(func() { b.write(slog.LevelWarn, format, v) })
		return
	}
	b.write(slog.LevelError, format, v)
}

func (b *bridge) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	b.fatal.CompareAndSwap(nil, &text)
	b.write(slog.LevelError, format, v)
}

func (b *bridge) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if b.log.Enabled(ctx, level) {
		b.log.Log(ctx, level, "nats-server: "+fmt.Sprintf(format, v...))
	}
}
