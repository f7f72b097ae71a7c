package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// Streams creates and checks the gateway's streams on one server or cluster.
type Streams struct {
	Settings
	where string
	log   *slog.Logger

	limit  atomic.Int64    // largest message that can be stored, in bytes
	warned map[string]bool // by stream; of Setup alone, which never runs twice at a time
}

// New returns the streams on the servers that where names.
func New(s Settings, where string, log *slog.Logger) *Streams {
	return &Streams{Settings: s, where: where, log: log, warned: map[string]bool{}}
}

// Setup creates the streams that are missing and checks the others.
func (s *Streams) Setup(ctx context.Context, link *natsconn.Link) error {
	var all []*jetstream.StreamConfig
	for _, spec := range s.Specs() {
		got, err := s.ensure(ctx, link, s.Config(spec))
		if err != nil {
			return err
		}
		all = append(all, got)
	}
	s.SetLimit(link, all)
	return nil
}

// SetLimit takes the largest message from the server and the streams' settings.
func (s *Streams) SetLimit(link *natsconn.Link, all []*jetstream.StreamConfig) {
	limit := int(link.NC.MaxPayload())
	if streams := messageLimit(all); streams > 0 {
		limit = min(limit, streams)
	}
	s.limit.Store(int64(limit))
}

// Limit returns the largest message, header included, that can be stored, in bytes. It is
// that of the last sample: asking the client for each delivery would wait for its sends.
// 0 before the first Setup.
func (s *Streams) Limit() int { return int(s.limit.Load()) }

// ensure returns the stream's settings and creates it if need be.
func (s *Streams) ensure(ctx context.Context, link *natsconn.Link, want jetstream.StreamConfig) (*jetstream.StreamConfig, error) {
	got, err := link.JS.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		got, err = s.create(ctx, link, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Another gateway was faster, with other settings.
			got, err = link.JS.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, s.explain(ctx, link, want, err)
	}
	cfg := &got.CachedInfo().Config
	if err := Check(cfg, &want); err != nil {
		return nil, err
	}
	s.warn(cfg, &want)
	return cfg, nil
}

const clusterReplicas = 3

// create creates the stream. Without a number of replicas the servers decide.
func (s *Streams) create(ctx context.Context, link *natsconn.Link, want jetstream.StreamConfig) (jetstream.Stream, error) {
	auto := want.Replicas == 0
	if auto {
		want.Replicas = clusterReplicas
	}
	got, err := link.JS.CreateStream(ctx, want)
	if auto && tooFewServers(link, err) {
		want.Replicas = 1
		got, err = link.JS.CreateStream(ctx, want)
	}
	if err == nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "stream created", slog.String("stream", want.Name),
			slog.Any("subjects", want.Subjects), slog.Int("replicas", got.CachedInfo().Config.Replicas))
	}
	return got, err
}

// tooFewServers reports whether there are too few servers for a cluster's replicas. If
// that many are known and one is away, the gateway waits: a stream must not have a single
// copy forever because of the moment of its creation.
func tooFewServers(link *natsconn.Link, err error) bool {
	switch errorCode(err) {
	case errCodeReplicas, errCodeNoTierLimits:
		return true
	case errCodeNoPeers:
		return len(link.NC.Servers()) < clusterReplicas
	default:
		return false
	}
}

// warn logs once where an existing stream differs from the settings.
func (s *Streams) warn(got, want *jetstream.StreamConfig) {
	if s.warned[got.Name] {
		return
	}
	s.warned[got.Name] = true
	if want.Duplicates > 0 && got.Duplicates != want.Duplicates {
		s.log.Warn("the stream exists and keeps its own duplicate window", slog.String("stream", got.Name),
			slog.String("stream_window", got.Duplicates.String()), slog.String("configured_window", want.Duplicates.String()))
	}
	if s.Relayed && want.MaxAge == 0 && got.MaxAge > 0 {
		s.log.Warn("the stream exists and drops events by their age, whether or not they were relayed",
			slog.String("stream", got.Name), slog.String("max_age", got.MaxAge.String()))
	}
}

// Inspect returns the state of a stream from its leader, and whether its settings keep
// what it acknowledges.
func (s *Streams) Inspect(ctx context.Context, conn *natsconn.Conn, spec *Spec) (*jetstream.StreamInfo, error) {
	link, err := conn.Link()
	if err != nil {
		return nil, err
	}
	want := s.Config(spec)
	got, err := link.JS.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, MissingError(want.Name)
	case isWithoutJetStream(err):
		return nil, s.withoutJetStream(err)
	case err != nil:
		return nil, fmt.Errorf("stream %s does not answer (%w%s): see that enough NATS servers run for it to have a leader", want.Name, err, conn.Reports.Report())
	}
	info := got.CachedInfo()
	return info, Check(&info.Config, &want)
}

// MissingError names a stream that does not exist.
type MissingError string

func (e MissingError) Error() string {
	return fmt.Sprintf("stream %s is gone: it is created again", string(e))
}

// explain says what to do about an error of the JetStream API.
func (s *Streams) explain(ctx context.Context, link *natsconn.Link, want jetstream.StreamConfig, err error) error {
	switch code := errorCode(err); code {
	case errCodeSubjectOverlap:
		other, nameErr := link.JS.StreamNameBySubject(ctx, want.Subjects[0])
		if nameErr != nil {
			other = "another stream"
		}
		return natsconn.Errorf("Stream", "stream %s cannot be created: %s captures subjects of %s already: "+
			"use that stream, or another subject root", want.Name, other, want.Subjects[0])
	case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return &natsconn.ConfigError{Err: s.withoutJetStream(err)}
	case errCodeReplicas:
		return natsconn.Errorf("Replicas", "stream %s cannot be created with %d replicas (%w): use 0 or 1", want.Name, want.Replicas, err)
	case errCodeMaxBytesMissing, errCodeStorageExceeded:
		return natsconn.Errorf("MaxBytes", "stream %s cannot be created with %d bytes (%w): use what the account and the server allow", want.Name, want.MaxBytes, err)
	case errCodeInvalidConfig:
		return natsconn.Errorf("DuplicateWindow", "stream %s cannot be created (%w): check the settings of the stream and its duplicate window", want.Name, err)
	case errCodeNoPeers:
		return fmt.Errorf("stream %s waits for servers to put its replicas on (%w): start them, or configure the number of replicas", want.Name, err)
	default:
		if isWithoutJetStream(err) {
			// Not a ConfigError: a leaf node responds like this until it is connected.
			return s.withoutJetStream(err)
		}
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
}

func (s *Streams) withoutJetStream(err error) error {
	return fmt.Errorf("%s has no JetStream for this account (%w): enable it in the server's configuration", s.where, err)
}

// isWithoutJetStream reports whether nothing responds for JetStream, or a server without it.
func isWithoutJetStream(err error) bool {
	code := errorCode(err)
	return errors.Is(err, nats.ErrNoResponders) ||
		code == jetstream.JSErrCodeJetStreamNotEnabled || code == jetstream.JSErrCodeJetStreamNotEnabledForAccount
}
