package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of JetStream API errors that the client has no name for.
const (
	errCodeNoPeers         jetstream.ErrorCode = 10005
	errCodeSubjectOverlap  jetstream.ErrorCode = 10065
	errCodeReplicas        jetstream.ErrorCode = 10074 // more than one, without a cluster
	errCodeNoTierLimits    jetstream.ErrorCode = 10120 // the account has none for so many replicas
	errCodeMaxBytesMissing jetstream.ErrorCode = 10113
	errCodeStorageExceeded jetstream.ErrorCode = 10047
	errCodeInvalidConfig   jetstream.ErrorCode = 10052
)

const clusterReplicas = 3

// The bounds of the streams beside the events': where that has none, and at least,
// so that a small one still takes several messages of the largest size.
const (
	sideBytes    = 1 << 30
	minSideBytes = 16 << 20
)

// eventStream is how the stream of the events is created. A full stream refuses
// what comes, so that the platform keeps it, rather than drop what may still wait
// for a consumer.
//
// Where a relay moves the events on the server does not drop them by their age:
// the retention does, when they have been moved.
func (c *Config) eventStream() jetstream.StreamConfig {
	s := jetstream.StreamConfig{
		Name:        c.Stream,
		Description: "Events of the postback gateway",
		Subjects:    []string{c.eventSubjects()},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxAge:      c.MaxAge,
		MaxBytes:    c.MaxBytes,
		Duplicates:  c.DuplicateWindow,
		Replicas:    c.Replicas,
		AllowDirect: true,
	}
	if c.Relayed {
		s.MaxAge = 0
	}
	return s
}

// deadLetterStreamConfig is how the stream of the dead letters is created. It
// drops the oldest when it is full, and is always bounded: a dead letter is part
// of a delivery, so a stream of them that refused would make the gateway refuse
// the good events beside it, for as long as somebody sends rubbish.
func (c *Config) deadLetterStreamConfig() jetstream.StreamConfig {
	s := c.sideStream(c.deadLetterStream(), c.deadLetterSubjects())
	s.Description = "What the postback gateway could not make an event of"
	return s
}

// sideStream is a stream beside that of the events, which drops its oldest when
// it is full.
func (c *Config) sideStream(name, subjects string) jetstream.StreamConfig {
	s := c.eventStream()
	s.Name = name
	s.Subjects = []string{subjects}
	s.Discard = jetstream.DiscardOld
	s.MaxAge = c.MaxAge
	s.MaxBytes = sideBytes
	if c.MaxBytes > 0 {
		s.MaxBytes = max(c.MaxBytes/10, minSideBytes)
	}
	return s
}

// streams are all that have to be there.
func (c *Config) streams() []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{c.eventStream(), c.deadLetterStreamConfig()}
	if c.Fallback {
		all = append(all, c.unclaimedStreamConfig())
	}
	return all
}

// setUp creates the streams that are missing and checks the others. It returns
// the largest message, header included, that both take; 0 where neither bounds it.
func (p *Publisher) setUp(ctx context.Context, l *link) (int, error) {
	var all []*jetstream.StreamConfig
	for _, want := range p.cfg.streams() {
		got, err := p.ensure(ctx, l, want)
		if err != nil {
			return 0, err
		}
		all = append(all, got)
	}
	return messageLimit(all), nil
}

// ensure returns the configuration of the stream, which it creates if need be.
func (p *Publisher) ensure(ctx context.Context, l *link, want jetstream.StreamConfig) (*jetstream.StreamConfig, error) {
	s, err := l.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = p.create(ctx, l, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			// Another gateway was faster, with other settings.
			s, err = l.js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, p.explainAPI(ctx, l, want, err)
	}
	got := &s.CachedInfo().Config
	if err := check(got, &want); err != nil {
		return nil, err
	}
	p.remark(got, want)
	return got, nil
}

// create creates the stream, with the replicas that the servers allow where
// their number is not set.
func (p *Publisher) create(ctx context.Context, l *link, want jetstream.StreamConfig) (jetstream.Stream, error) {
	auto := want.Replicas == 0
	if auto {
		want.Replicas = clusterReplicas
	}
	s, err := l.js.CreateStream(ctx, want)
	if auto && tooFewServers(l, err) {
		want.Replicas = 1
		s, err = l.js.CreateStream(ctx, want)
	}
	if err == nil {
		p.log.LogAttrs(ctx, slog.LevelInfo, "stream created", slog.String("stream", want.Name),
			slog.Any("subjects", want.Subjects), slog.Int("replicas", s.CachedInfo().Config.Replicas))
	}
	return s, err
}

// tooFewServers tells whether there are not enough servers for a cluster's
// replicas. Where that many are known, one that is away is only waited for: a
// stream must not have a single copy for ever because of the moment in which it
// was created.
func tooFewServers(l *link, err error) bool {
	switch apiCode(err) {
	case errCodeReplicas, errCodeNoTierLimits:
		return true
	case errCodeNoPeers:
		return len(l.nc.Servers()) < clusterReplicas
	default:
		return false
	}
}

// explainAPI says what to do about an error of the JetStream API.
func (p *Publisher) explainAPI(ctx context.Context, l *link, want jetstream.StreamConfig, err error) error {
	switch code := apiCode(err); code {
	case errCodeSubjectOverlap:
		other, nameErr := l.js.StreamNameBySubject(ctx, want.Subjects[0])
		if nameErr != nil {
			other = "another stream"
		}
		return faultf("stream %s cannot be created: %s captures subjects of %s already: "+
			"set GATEWAY_STREAM to that stream, or GATEWAY_SUBJECT_ROOT to other subjects", want.Name, other, want.Subjects[0])
	case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return fault{p.withoutJetStream(err)}
	case errCodeReplicas:
		return faultf("stream %s cannot be created with %d replicas (%w): set GATEWAY_STREAM_REPLICAS to 0 or 1", want.Name, want.Replicas, err)
	case errCodeMaxBytesMissing, errCodeStorageExceeded:
		return faultf("stream %s cannot be created with %d bytes (%w): set GATEWAY_STREAM_MAX_BYTES to what the account and the server allow", want.Name, want.MaxBytes, err)
	case errCodeInvalidConfig:
		return faultf("stream %s cannot be created (%w): check the GATEWAY_STREAM_… settings and GATEWAY_DUPLICATE_WINDOW", want.Name, err)
	case errCodeNoPeers:
		return fmt.Errorf("stream %s waits for servers to put its replicas on (%w): start them, or set GATEWAY_STREAM_REPLICAS", want.Name, err)
	default:
		if isWithoutJetStream(err) {
			// Not a fault: a leaf node answers so until it is connected.
			return p.withoutJetStream(err)
		}
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
}

// isWithoutJetStream reports whether nobody answers for JetStream, or somebody who
// says that there is none.
func isWithoutJetStream(err error) bool {
	code := apiCode(err)
	return errors.Is(err, nats.ErrNoResponders) ||
		code == jetstream.JSErrCodeJetStreamNotEnabled || code == jetstream.JSErrCodeJetStreamNotEnabledForAccount
}

func (p *Publisher) withoutJetStream(err error) error {
	return fmt.Errorf("%s has no JetStream for this account (%w): enable it in the server's configuration", p.cfg.where(), err)
}

func apiCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	var js jetstream.JetStreamError
	if errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}
