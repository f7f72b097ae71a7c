package server

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/fallback"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/relay"
	"github.com/postback-gateway/gateway/publish/stream"
	"github.com/postback-gateway/gateway/schema"
)

// Store is where events are stored: the embedded server or the cluster.
type Store struct {
	Name   string // "embedded" or "cluster"
	Config publish.Config

	variables variables
}

// Explain names the variable that an error of package publish is about.
func (s Store) Explain(err error) error { return s.variables.explain(err) }

// Stores returns the stores of the settings as a client on this machine connects to
// them, in the order in which events get there.
func Stores(s *settings.Settings) ([]Store, error) {
	var stores []Store
	if s.RunsNATS() {
		if s.EmbeddedListen == settings.Off {
			return nil, errors.New("the embedded server does not listen (GATEWAY_EMBEDDED_LISTEN=off): events can be read only inside the gateway")
		}
		cfg := streamConfig(s)
		cfg.Servers, cfg.Token = "nats://"+settings.Reachable(s.EmbeddedListen), s.EmbeddedToken.Reveal()
		stores = append(stores, Store{"embedded", cfg, embeddedVariables})
	}
	if len(s.NATSURL) > 0 {
		stores = append(stores, Store{"cluster", clusterConfig(s), clusterVariables})
	}
	return stores, nil
}

// ConsumerStore returns the store that consumers read from: the cluster if there is one.
func ConsumerStore(s *settings.Settings) (Store, error) {
	if len(s.NATSURL) > 0 {
		return Store{"cluster", clusterConfig(s), clusterVariables}, nil
	}
	stores, err := Stores(s)
	if err != nil {
		return Store{}, err
	}
	return stores[0], nil
}

// streamConfig is the part of the configuration that is the same for both stores.
func streamConfig(s *settings.Settings) publish.Config {
	return publish.Config{Settings: stream.Settings{
		Root:            s.SubjectRoot,
		Partitions:      s.Partitions,
		Stream:          s.Stream,
		MaxAge:          s.StreamMaxAge,
		MaxBytes:        s.StreamMaxBytes,
		DuplicateWindow: s.DuplicateWindow,
		Fallback:        s.Fallback == "true",
		StoreOther:      s.StoreOther,
		Forward:         len(s.Forward) > 0,
	}}
}

// eventSubjects is the form of the events' subjects.
func eventSubjects(s *settings.Settings) schema.Subjects {
	cfg := streamConfig(s)
	return cfg.EventSubjects()
}

func clusterConfig(s *settings.Settings) publish.Config {
	cfg := streamConfig(s)
	cfg.Servers = strings.Join(settings.RevealAll(s.NATSURL), ",")
	cfg.Creds, cfg.NKey = s.NATSCreds, s.NATSNkey
	cfg.User, cfg.Password, cfg.Token = s.NATSUser, s.NATSPassword.Reveal(), s.NATSToken.Reveal()
	cfg.CA, cfg.Cert, cfg.Key = s.NATSCA, s.NATSCert, s.NATSKey
	cfg.Replicas = s.StreamReplicas
	return cfg
}

// clusterConfig follows changes of the password or the token.
func (g *gateway) clusterConfig() publish.Config {
	cfg := clusterConfig(g.settings)
	cfg.Secret = g.secrets.Current(func(s *settings.Settings) settings.Secret { return cmp.Or(s.NATSPassword, s.NATSToken) })
	return cfg
}

func (g *gateway) embeddedConfig(sync func() error) publish.Config {
	cfg := streamConfig(g.settings)
	cfg.InProcess, cfg.Failed = g.embedded, g.embedded.Failed
	cfg.Token = g.settings.EmbeddedToken.Reveal()
	cfg.Secret = g.secrets.Current(func(s *settings.Settings) settings.Secret { return s.EmbeddedToken })
	cfg.DataDir, cfg.Check = g.settings.DataDir, g.embedded.CheckStore
	if sync != nil {
		cfg.Sync = func() error { return errors.Join(sync(), g.embedded.CheckStore()) }
	}
	cfg.Replicas, cfg.Relayed = 1, g.settings.Relay
	cfg.Fallback = cfg.Fallback && !cfg.Relayed // the consumers are in the cluster
	return cfg
}

// startStore starts the embedded server if there is one, the publisher and the relay.
func (g *gateway) startStore(ctx context.Context) error {
	if !g.settings.RunsNATS() {
		return g.startPublisher(ctx, g.clusterConfig(), clusterVariables)
	}
	sync, err := g.startSync()
	if err != nil {
		return err
	}
	if err := g.startEmbedded(sync == nil); err != nil {
		return err
	}
	if err := g.startPublisher(ctx, g.embeddedConfig(sync), embeddedVariables); err != nil {
		return err
	}
	if g.settings.Relay {
		return g.startRelay(ctx)
	}
	return nil
}

// startPublisher starts what stores deliveries. Without a relay consumers read from there.
func (g *gateway) startPublisher(ctx context.Context, cfg publish.Config, names variables) error {
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
	publisher, err := publish.Open(ctx, cfg, names.logger(g.log), g.registry)
	if err != nil {
		return names.explain(err)
	}
	g.publisher = publisher
	g.onStop("publisher", publisher.Close)
	g.ready.AddCheck("store", func(ctx context.Context) error { return names.explain(publisher.Ready(ctx)) })
	if !cfg.Relayed {
		g.consumers = publisher.Monitor()
		g.startFallback(publisher.Monitor(), names)
	}
	return nil
}

// startFallback starts the fallback, if it is set, where consumers read.
func (g *gateway) startFallback(m *monitor.Monitor, names variables) {
	if m.Streams.Fallback {
		g.onStop("fallback", fallback.Start(m, names.logger(g.log)).Close)
	}
}

// startRelay relays what the publisher stores on this machine. Problems of the cluster
// do not make the gateway unready: deliveries can be stored.
func (g *gateway) startRelay(ctx context.Context) error {
	cfg := g.clusterConfig()
	cfg.MaxBytes = 0    // the setting is for the local stream
	cfg.Forward = false // so are the deliveries
	cfg.ServerMetrics = g.serverMetrics
	r, err := relay.Open(ctx, g.publisher, relay.Config{Config: cfg, Metrics: g.relayMetrics, Log: clusterVariables.logger(g.log)})
	if err != nil {
		return clusterVariables.explain(err)
	}
	g.onStop("relay", r.Close)
	g.consumers = r.Cluster()
	g.startFallback(r.Cluster(), clusterVariables)
	g.ready.AddNote("relay", func(ctx context.Context) string {
		backlog, err := r.Backlog(ctx)
		if err != nil {
			return clusterVariables.explain(err).Error()
		}
		return backlog.String()
	})
	return nil
}
