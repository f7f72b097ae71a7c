package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/embedded"
)

// startSync returns the group sync; nil if the server syncs itself.
func (g *gateway) startSync() (func() error, error) {
	if g.settings.Sync == settings.SyncInterval {
		return nil, nil
	}
	disk, err := embedded.OpenSync(g.settings.DataDir)
	if err != nil {
		if g.settings.Sync == settings.SyncGroup {
			g.log.Warn("GATEWAY_SYNC=group is not supported on this filesystem: each event is synced separately, as with always", "reason", err)
		}
		return nil, nil
	}
	g.onStop("sync", func(context.Context) error { return disk.Close() })
	// The last run may have left events that are not synced. They must be durable before
	// a delivery is reported as their duplicate. The server syncs only what it stores, so
	// this is needed with always, too.
	err = disk.Sync()
	if g.settings.Sync == settings.SyncAlways {
		return nil, err
	}
	addProcessor()
	return disk.Sync, err
}

// addProcessor lets Go code run on all processors during a group sync, which is nearly
// always under load: a thread that waits in the kernel keeps its processor until the
// runtime takes it away, which is long compared to a fast sync. GOMAXPROCS overrides it.
var addProcessor = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
})

func (g *gateway) startEmbedded(serverSyncs bool) error {
	cfg := embedded.Config{Dir: g.settings.DataDir, Token: g.settings.EmbeddedToken.Reveal()}
	if g.settings.Sync == settings.SyncInterval {
		cfg.SyncInterval = time.Second
	} else {
		cfg.SyncAlways = serverSyncs
	}
	var err error
	if cfg.DontListen = g.settings.EmbeddedListen == settings.Off; !cfg.DontListen {
		if cfg.Host, cfg.Port, err = hostPort(g.settings.EmbeddedListen); err != nil {
			return err
		}
	}
	server, err := embedded.Start(cfg, g.log)
	if err != nil {
		return err
	}
	g.embedded, g.at.NATS = server, server.ClientURL()
	g.secrets.OnChange(func(s *settings.Settings) error { return server.SetToken(s.EmbeddedToken.Reveal()) }, "GATEWAY_EMBEDDED_TOKEN")
	g.onStop("embedded NATS server", func(ctx context.Context) error { return waitFor(ctx, server.Shutdown) })
	return nil
}

// waitFor returns when f has returned, or with an error when ctx ends.
func waitFor(ctx context.Context, f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not stopped in time: %w", ctx.Err())
	}
}

// hostPort splits an address that was checked. For NATS any free port is -1, not 0.
func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if port == 0 {
		port = -1
	}
	return host, port, err
}
