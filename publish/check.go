package publish

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// minMessage is the least that a stream has to take as one message, in bytes: a
// dead letter without its body, with room for long ids and details.
const minMessage = 4096

// minAge is the least age up to which a stream has to keep events, where the settings
// do not say less: a consumer that is restarted has to find what came meanwhile.
const minAge = 5 * time.Minute

// minStreamBytes is the least bound of a new stream: the largest message is half of it.
const minStreamBytes = 2 * minMessage

// check reports whether an acknowledgement of the stream means that an event on the
// subjects of want is stored and can be read. What else the operator decided about
// a stream is not the gateway's to judge.
func check(got, want *jetstream.StreamConfig) error {
	subjects := want.Subjects[0]
	if !captures(got, subjects) {
		return faultf("stream %s captures %s, expected %s: set GATEWAY_STREAM to a stream that captures it or that does not exist yet, "+
			"or GATEWAY_SUBJECT_ROOT to what this one captures", got.Name, subjectList(got), subjects)
	}
	reason := cmp.Or(unstored(got), unkept(got, want))
	if reason == "" {
		return nil
	}
	return faultf("stream %s %s: change it, or set GATEWAY_STREAM to another one", got.Name, reason)
}

// unstored returns why an acknowledgement does not mean that an event is stored.
func unstored(got *jetstream.StreamConfig) string {
	switch {
	case got.Sealed:
		return "is sealed and takes no events"
	case got.NoAck:
		return "does not acknowledge (no_ack)"
	case got.Storage != jetstream.FileStorage:
		return "is kept in memory only"
	case got.PersistMode == jetstream.AsyncPersistMode:
		return "acknowledges before it has written (persist_mode async)"
	case got.Duplicates <= 0:
		return "has no duplicate window, so repeated deliveries would be stored twice"
	case got.MaxMsgSize > 0 && got.MaxMsgSize < minMessage:
		return "takes only messages that are too small (max_msg_size)"
	case got.SubjectTransform != nil:
		return "stores events under other subjects (subject_transform)"
	default:
		return ""
	}
}

// unkept returns how a stream drops events that somebody may still wait for. Those
// beside the stream of the events may.
func unkept(got, want *jetstream.StreamConfig) string {
	least := minAge
	if want.MaxAge > 0 {
		least = min(least, want.MaxAge)
	}
	dropsNone := want.Discard == jetstream.DiscardNew
	switch {
	case got.Retention == jetstream.InterestPolicy:
		return "drops events that no consumer is there for (interest retention)"
	case got.MaxAge > 0 && got.MaxAge < least:
		return fmt.Sprintf("drops events when they are %s old (max_age), expected at least %s", got.MaxAge, least)
	case dropsNone && got.Discard == jetstream.DiscardOld && (got.MaxBytes > 0 || got.MaxMsgs > 0):
		return "drops its oldest events at its limits, whether or not they were consumed (discard old)"
	case dropsNone && got.MaxMsgsPerSubject > 0 && !got.DiscardNewPerSubject:
		return "drops all but the newest events of each subject (max_msgs_per_subject)"
	default:
		return ""
	}
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
}
