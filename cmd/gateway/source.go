package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// storeSettings match the settings that a command needs to read the stream.
var storeSettings = []string{"GATEWAY_NATS_*", "GATEWAY_EMBEDDED_*", "GATEWAY_SUBJECT_ROOT", "GATEWAY_STREAM"}

// relayHelp says where commands read that use a source.
const relayHelp = "It reads from GATEWAY_NATS_URL, or else from the embedded server of a gateway on this machine\n" +
	"(GATEWAY_EMBEDDED_LISTEN). With GATEWAY_RELAY that is the cluster: it has what was relayed."

// source is what a command reads: the streams that consumers read too. With a relay they
// are in the cluster. The caller closes it.
type source struct {
	stream.Settings
	stream.Selection
	link *natsconn.Link
	info *jetstream.StreamInfo // of the events
}

func (s *source) close() { s.link.NC.Close() }

// openSource connects as a consumer does. filter is what the user asks for; it may be
// empty.
func openSource(ctx context.Context, s *settings.Settings, command, filter string) (*source, error) {
	store, err := server.ConsumerStore(s)
	if err != nil {
		return nil, err
	}
	o := &source{Settings: store.Config.Settings}
	if o.Selection, err = o.Select(filter); err != nil {
		return nil, err
	}
	if o.link, err = natsconn.Dial(store.Config.Config, "postback-gateway "+command); err != nil {
		if errors.Is(err, nats.ErrNoServers) {
			err = fmt.Errorf("%w: expected a gateway that runs on this machine, or GATEWAY_NATS_URL", err)
		}
		return nil, store.Explain(err)
	}
	events, err := o.link.JS.Stream(ctx, o.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("stream %s does not exist: set GATEWAY_STREAM to that of a gateway that has run here", o.Stream)
	}
	if err != nil {
		o.close()
		return nil, err
	}
	o.info = events.CachedInfo()
	return o, nil
}

// openEvents is openSource for commands about events alone.
func openEvents(ctx context.Context, s *settings.Settings, command, filter string) (*source, error) {
	o, err := openSource(ctx, s, command, filter)
	if err == nil && o.Spec != stream.Events {
		o.close()
		return nil, fmt.Errorf("%q selects no events of stream %s", filter, o.Stream)
	}
	return o, err
}
