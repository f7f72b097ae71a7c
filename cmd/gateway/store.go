package main

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/embedded"
)

// startStore starts the embedded server, where there is one, and the publisher.
func (g *gateway) startStore(ctx context.Context) error {
	cfg := g.settings.publishConfig()
	if g.settings.embedded() {
		if err := g.startEmbedded(); err != nil {
			return err
		}
		cfg.InProcess, cfg.Token, cfg.DataDir = g.embedded, g.settings.EmbeddedToken.reveal(), g.settings.DataDir
	}
	var err error
	if g.publisher, err = publish.Open(ctx, cfg, g.log, g.registry); err != nil {
		return err
	}
	g.onStop("publisher", g.publisher.Close)
	return nil
}

func (g *gateway) startEmbedded() error {
	cfg := embedded.Config{
		Dir:        g.settings.DataDir,
		Token:      g.settings.EmbeddedToken.reveal(),
		SyncAlways: true, // what group promises too, until there is a group sync
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
