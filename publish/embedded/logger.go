package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// bridge hands the server's log to slog. Its notices are detail to an operator
// of the gateway. It keeps the fatal one: the server does not return it.
type bridge struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (b *bridge) Noticef(format string, v ...any) { b.write(slog.LevelDebug, format, v) }
func (b *bridge) Warnf(format string, v ...any)   { b.write(slog.LevelWarn, format, v) }
func (b *bridge) Errorf(format string, v ...any)  { b.write(slog.LevelError, format, v) }
func (b *bridge) Debugf(format string, v ...any)  { b.write(slog.LevelDebug, format, v) }
func (b *bridge) Tracef(format string, v ...any)  { b.write(slog.LevelDebug, format, v) }

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
