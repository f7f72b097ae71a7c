package main

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
)

// startStore starts the embedded server, where there is one, and the publisher.
func (g *gateway) startStore(ctx context.Context) error {
	cfg := g.settings.publishConfig()
	if g.settings.embedded() {
		sync, err := g.startSync()
		if err == nil {
			err = g.startEmbedded(sync == nil)
		}
		if err != nil {
			return err
		}
		cfg.InProcess, cfg.Token, cfg.DataDir = g.embedded, g.settings.EmbeddedToken.reveal(), g.settings.DataDir
		cfg.Sync = sync
	}
	var err error
	if g.publisher, err = publish.Open(ctx, cfg, g.log, g.registry); err != nil {
		return err
	}
	g.onStop("publisher", g.publisher.Close)
	return nil
}

// startSync returns what makes events durable for all deliveries that wait, or
// nil where that is the server's.
func (g *gateway) startSync() (func() error, error) {
	if g.settings.Sync != syncGroup {
		return nil, nil
	}
	sync, err := embedded.OpenSync(g.settings.DataDir)
	if err != nil {
		g.log.Warn("GATEWAY_SYNC=group is not possible here: events are synced one by one, as with always, for what that is worth on this filesystem", "reason", err)
		return nil, nil
	}
	g.onStop("sync", func(context.Context) error { return sync.Close() })
	// What the last run left unsynced is made durable before anything is said
	// to be a duplicate of it.
	return sync.Sync, sync.Sync()
}

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
	g.onStop("embedded NATS server", func(context.Context) error {
		server.Shutdown()
		return nil
	})
	return nil
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

func (s *settings) publishConfig() publish.Config {
	return publish.Config{
		Servers:         strings.Join(revealAll(s.NATSURL), ","),
		Creds:           s.NATSCreds,
		NKey:            s.NATSNkey,
		User:            s.NATSUser,
		Password:        s.NATSPassword.reveal(),
		Token:           s.NATSToken.reveal(),
		CA:              s.NATSCA,
		Cert:            s.NATSCert,
		Key:             s.NATSKey,
		Root:            s.SubjectRoot,
		Stream:          s.Stream,
		Replicas:        s.StreamReplicas,
		MaxAge:          s.StreamMaxAge,
		MaxBytes:        s.StreamMaxBytes,
		DuplicateWindow: s.DuplicateWindow,
	}
}

func (s *settings) ingestConfig() ingest.Config {
	return ingest.Config{
		MetaAppSecrets:    revealAll(s.MetaAppSecrets),
		MetaVerifyToken:   s.MetaVerifyToken.reveal(),
		MetaAllowUnsigned: s.MetaAllowUnsigned,
		MaxBodyBytes:      s.MaxBodyBytes,
		MaxInFlight:       s.MaxInFlight,
		PublishTimeout:    s.PublishTimeout,
		IncludeRaw:        s.IncludeRaw,
		LabelLimit:        s.MetricsPrefixLimit,
	}
}
