package server

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// listen binds both addresses, and sees that the embedded server can bind its own.
func (g *gateway) listen() (public, operators net.Listener, err error) {
	if public, err = g.bind("GATEWAY_LISTEN", g.settings.Listen); err != nil {
		return nil, nil, err
	}
	if operators, err = g.bind("GATEWAY_ADMIN_LISTEN", g.settings.AdminListen); err != nil {
		return nil, nil, err
	}
	if err := g.probeEmbedded(); err != nil {
		return nil, nil, err
	}
	scheme := "http://"
	if g.settings.TLSCert != "" {
		scheme = "https://"
	}
	g.at.Webhook = scheme + settings.Reachable(public.Addr().String())
	g.at.Admin = "http://" + settings.Reachable(operators.Addr().String())
	return public, operators, nil
}

func (g *gateway) bind(variable, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cannotListen(variable, address, err)
	}
	g.onStop(variable+" listener", func(context.Context) error { return closeListener(listener) })
	return listener, nil
}

// probeEmbedded finds an address in use before the data directory exists.
func (g *gateway) probeEmbedded() error {
	if !g.settings.RunsNATS() || g.settings.EmbeddedListen == settings.Off {
		return nil
	}
	listener, err := net.Listen("tcp", g.settings.EmbeddedListen)
	if err != nil {
		return cannotListen("GATEWAY_EMBEDDED_LISTEN", g.settings.EmbeddedListen, err)
	}
	return listener.Close()
}

func cannotListen(variable, address string, err error) error {
	return fmt.Errorf("%s: cannot listen on %s (%w): stop what listens there, or set another address", variable, address, err)
}

// closeListener closes a listener that may be closed already.
func closeListener(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
