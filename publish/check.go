package publish

import (
	"log/slog"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// minMessage is the least that a stream has to take as one message, in bytes: a
// dead letter without its body, with room for long ids and details.
const minMessage = 4096

// check tells whether an acknowledgement of the stream means that an event below
// subjects is stored. What else the operator decided about a stream is not the
// gateway's to judge.
func check(got *jetstream.StreamConfig, subjects string) error {
	if !captures(got, subjects) {
		return faultf("stream %s captures %s, expected %s: set GATEWAY_STREAM to a stream that captures it or that does not exist yet, "+
			"or GATEWAY_SUBJECT_ROOT to what this one captures", got.Name, subjectList(got), subjects)
	}
	reason := ""
	switch {
	case got.Sealed:
		reason = "is sealed and takes no events"
	case got.NoAck:
		reason = "does not acknowledge (no_ack)"
	case got.Storage != jetstream.FileStorage:
		reason = "is kept in memory only"
	case got.PersistMode == jetstream.AsyncPersistMode:
		reason = "acknowledges before it has written (persist_mode async)"
	case got.Retention == jetstream.InterestPolicy:
		reason = "drops events that no consumer is there for (interest retention)"
	case got.Duplicates <= 0:
		reason = "has no duplicate window, so repeated deliveries would be stored twice"
	case got.MaxMsgSize > 0 && got.MaxMsgSize < minMessage:
		reason = "takes only messages that are too small (max_msg_size)"
	default:
		return nil
	}
	return faultf("stream %s %s: change it, or set GATEWAY_STREAM to another one", got.Name, reason)
}

// captures tells whether one of the stream's filters covers all of subjects. A
// mirror has none.
func captures(got *jetstream.StreamConfig, subjects string) bool {
	for _, filter := range got.Subjects {
		if server.SubjectMatchesFilter(subjects, filter) {
			return true
		}
	}
	return false
}

func subjectList(got *jetstream.StreamConfig) string {
	switch {
	case got.Mirror != nil:
		return "nothing (it mirrors " + got.Mirror.Name + ")"
	case len(got.Subjects) == 0:
		return "nothing"
	default:
		return strings.Join(got.Subjects, ", ")
	}
}

// remark logs, once, where an existing stream behaves otherwise than the
// settings say.
func (p *Publisher) remark(got *jetstream.StreamConfig, want jetstream.StreamConfig) {
	if p.remarked[got.Name] {
		return
	}
	p.remarked[got.Name] = true
	if want.Duplicates > 0 && got.Duplicates != want.Duplicates {
		p.log.Warn("the stream exists and keeps its own duplicate window", slog.String("stream", got.Name),
			slog.String("stream_window", got.Duplicates.String()), slog.String("GATEWAY_DUPLICATE_WINDOW", want.Duplicates.String()))
	}
	if p.cfg.Relayed && want.MaxAge == 0 && got.MaxAge > 0 {
		p.log.Warn("the stream exists and drops events by their age, whether or not they were relayed",
			slog.String("stream", got.Name), slog.String("max_age", got.MaxAge.String()))
	}
	if want.Discard == jetstream.DiscardNew && drops(got) {
		p.log.Warn("the stream exists and drops its oldest events at its limits, whether or not they were consumed",
			slog.String("stream", got.Name))
	}
}

func drops(got *jetstream.StreamConfig) bool {
	bounded := got.MaxBytes > 0 || got.MaxMsgs > 0
	return got.Discard == jetstream.DiscardOld && bounded || got.MaxMsgsPerSubject > 0 && !got.DiscardNewPerSubject
}
