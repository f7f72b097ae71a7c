package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
	"github.com/postback-gateway/gateway/publish/fallback"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/relay"
	"github.com/postback-gateway/gateway/publish/stream"
)

// startStore starts what a delivery is stored in, the embedded server or the
// cluster, and what moves it on.
func (g *gateway) startStore(ctx context.Context) error {
	if !g.settings.embedded() {
		return g.startPublisher(ctx, g.clusterConfig())
	}
	sync, err := g.startSync()
	if err != nil {
		return err
	}
	if err := g.startEmbedded(sync == nil); err != nil {
		return err
	}
	if err := g.startPublisher(ctx, g.localConfig(sync)); err != nil {
		return err
	}
	if g.settings.Relay {
		return g.startRelay(ctx)
	}
	return nil
}

// startPublisher starts what stores deliveries. Without a relay consumers read from there.
func (g *gateway) startPublisher(ctx context.Context, cfg publish.Config) error {
	var err error
	if g.serverMetrics, err = monitor.NewServerMetrics(g.registry); err != nil {
		return err
	}
	if g.relayMetrics, err = relay.NewMetrics(g.registry); err != nil {
		return err
	}
	cfg.Tracer = g.tracer
	if !cfg.Relayed {
		cfg.ServerMetrics = g.serverMetrics
	}
	publisher, err := publish.Open(ctx, cfg, g.log, g.registry)
	if err != nil {
		return explain(err, cfg)
	}
	g.publisher = publisher
	g.onStop("publisher", publisher.Close)
	g.ready.add("store", publisher.Ready)
	if !cfg.Relayed {
		g.startFallback(publisher.Monitor())
	}
	return nil
}

// startFallback starts the fallback, if it is set, where consumers read.
func (g *gateway) startFallback(m *monitor.Monitor) {
	if m.Streams.Fallback {
		g.onStop("fallback", fallback.Start(m, g.log).Close)
	}
}

// startRelay moves on what the publisher stores on this machine. What is wrong
// with the cluster does not make the gateway unready: deliveries are stored.
func (g *gateway) startRelay(ctx context.Context) error {
	cfg := g.clusterConfig()
	cfg.MaxBytes = 0 // the bound is that of the local store
	cfg.ServerMetrics = g.serverMetrics
	r, err := relay.Open(ctx, g.publisher, relay.Config{Config: cfg, Metrics: g.relayMetrics, Log: g.log})
	if err != nil {
		return explain(err, cfg)
	}
	g.onStop("relay", r.Close)
	g.startFallback(r.Cluster())
	g.ready.tell("relay", func(ctx context.Context) string {
		backlog, err := r.Backlog(ctx)
		if err != nil {
			return err.Error()
		}
		return backlog.String()
	})
	return nil
}

// startSync returns what makes events durable for all deliveries that wait, or
// nil where that is the server's.
func (g *gateway) startSync() (func() error, error) {
	if g.settings.Sync == syncInterval {
		return nil, nil
	}
	disk, err := embedded.OpenSync(g.settings.DataDir)
	if err != nil {
		if g.settings.Sync == syncGroup {
			g.log.Warn("GATEWAY_SYNC=group is not possible here: events are synced one by one, as with always, for what that is worth on this filesystem", "reason", err)
		}
		return nil, nil
	}
	g.onStop("sync", func(context.Context) error { return disk.Close() })
	// What the last run left unsynced is made durable before anything is said to
	// be a duplicate of it. With always, too: the server syncs what it stores, and
	// nothing when it finds a duplicate.
	err = disk.Sync()
	if g.settings.Sync == syncAlways {
		return nil, err
	}
	oneMoreProcessor()
	return disk.Sync, err
}

// oneMoreProcessor lets Go code run on as many processors as there are while a group
// sync is under way, as it nearly always is under load: a thread that waits in the
// kernel keeps the place that it ran Go code in until the runtime takes it away, which
// is long beside a fast sync. Whoever sets GOMAXPROCS has the last word.
var oneMoreProcessor = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
})

func (g *gateway) startEmbedded(serverSyncs bool) error {
	cfg := embedded.Config{Dir: g.settings.DataDir, Token: g.settings.EmbeddedToken.reveal()}
	if g.settings.Sync == syncInterval {
		cfg.SyncInterval = time.Second
	} else {
		cfg.SyncAlways = serverSyncs
	}
	var err error
	if cfg.DontListen = g.settings.EmbeddedListen == off; !cfg.DontListen {
		if cfg.Host, cfg.Port, err = hostPort(g.settings.EmbeddedListen); err != nil {
			return err
		}
	}
	server, err := embedded.Start(cfg, g.log)
	if err != nil {
		return err
	}
	g.embedded, g.at.nats = server, server.ClientURL()
	g.secrets.onChange(func(s *settings) error { return server.SetToken(s.EmbeddedToken.reveal()) }, "EMBEDDED_TOKEN")
	g.onStop("embedded NATS server", func(ctx context.Context) error { return waitFor(ctx, server.Shutdown) })
	return nil
}

// waitFor returns when do has returned, or with the error of ctx.
func waitFor(ctx context.Context, do func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not stopped in time: %w", ctx.Err())
	}
}

// hostPort splits an address that the settings' checks have let through. NATS
// knows -1 as any free port where other listeners have 0.
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

// localConfig stores in the embedded server.
func (g *gateway) localConfig(sync func() error) publish.Config {
	cfg := g.settings.streamConfig()
	cfg.InProcess, cfg.Failed = g.embedded, g.embedded.Failed
	cfg.Token = g.settings.EmbeddedToken.reveal()
	cfg.Secret = g.secrets.toLogIn(func(s *settings) secret { return s.EmbeddedToken })
	cfg.DataDir, cfg.Check = g.settings.DataDir, g.embedded.CheckStore
	if sync != nil {
		cfg.Sync = func() error { return errors.Join(sync(), g.embedded.CheckStore()) }
	}
	cfg.Replicas, cfg.Relayed = 1, g.settings.Relay
	cfg.Fallback = cfg.Fallback && !cfg.Relayed // where the consumers are
	return cfg
}

// clusterConfig is that of the settings for a gateway that runs on when secrets change.
func (g *gateway) clusterConfig() publish.Config {
	cfg := g.settings.clusterConfig()
	cfg.Secret = g.secrets.toLogIn(func(s *settings) secret { return cmp.Or(s.NATSPassword, s.NATSToken) })
	return cfg
}

// clusterConfig stores in the servers of GATEWAY_NATS_URL.
func (s *settings) clusterConfig() publish.Config {
	cfg := s.streamConfig()
	cfg.Servers = strings.Join(revealAll(s.NATSURL), ",")
	cfg.Creds, cfg.NKey = s.NATSCreds, s.NATSNkey
	cfg.User, cfg.Password, cfg.Token = s.NATSUser, s.NATSPassword.reveal(), s.NATSToken.reveal()
	cfg.CA, cfg.Cert, cfg.Key = s.NATSCA, s.NATSCert, s.NATSKey
	cfg.Replicas = s.StreamReplicas
	return cfg
}

// streamConfig is what holds of the streams wherever they are.
func (s *settings) streamConfig() publish.Config {
	return publish.Config{Settings: stream.Settings{
		Root:            s.SubjectRoot,
		Stream:          s.Stream,
		MaxAge:          s.StreamMaxAge,
		MaxBytes:        s.StreamMaxBytes,
		DuplicateWindow: s.DuplicateWindow,
		Fallback:        s.Fallback == "true",
	}}
}

// variables has the variable of each field that package publish can name in an error.
var variables = map[string]string{
	"Servers": "GATEWAY_NATS_URL", "Creds": "GATEWAY_NATS_CREDS", "NKey": "GATEWAY_NATS_NKEY",
	"User": "GATEWAY_NATS_USER", "Token": "GATEWAY_NATS_TOKEN",
	"CA": "GATEWAY_NATS_CA", "Cert": "GATEWAY_NATS_CERT",
	"Root": "GATEWAY_SUBJECT_ROOT", "Stream": "GATEWAY_STREAM", "Replicas": "GATEWAY_STREAM_REPLICAS",
	"MaxBytes": "GATEWAY_STREAM_MAX_BYTES", "DuplicateWindow": "GATEWAY_DUPLICATE_WINDOW", "DataDir": "GATEWAY_DATA_DIR",
}

// explain puts the variable before an error about a field of cfg.
func explain(err error, cfg publish.Config) error {
	var wrong *publish.ConfigError
	if !errors.As(err, &wrong) || variables[wrong.Field] == "" {
		return err
	}
	if wrong.Field == "Token" && cfg.InProcess != nil {
		return fmt.Errorf("GATEWAY_EMBEDDED_TOKEN: %w", err)
	}
	return fmt.Errorf("%s: %w", variables[wrong.Field], err)
}

func (s *settings) ingestConfig() ingest.Config {
	return ingest.Config{
		Secrets:           s.ingestSecrets(),
		MetaAllowUnsigned: s.MetaAllowUnsigned,
		MaxBodyBytes:      s.MaxBodyBytes,
		MaxInFlight:       s.MaxInFlight,
		PublishTimeout:    s.PublishTimeout,
		IncludeRaw:        s.IncludeRaw,
		LabelLimit:        s.MetricsPrefixLimit,
	}
}

func (s *settings) ingestSecrets() ingest.Secrets {
	return ingest.Secrets{
		MetaAppSecrets:  revealAll(s.MetaAppSecrets),
		MetaVerifyToken: s.MetaVerifyToken.reveal(),
		TelegramSecrets: s.telegramSecrets(),
	}
}

// telegramSecrets takes the checked bot:token pairs apart, in their order.
func (s *settings) telegramSecrets() []ingest.TelegramSecret {
	var secrets []ingest.TelegramSecret
	for _, entry := range s.TelegramSecrets {
		bot, token, _ := strings.Cut(entry.reveal(), ":")
		secrets = append(secrets, ingest.TelegramSecret{Bot: bot, Token: token})
	}
	return secrets
}
