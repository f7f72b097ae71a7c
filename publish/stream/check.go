package stream

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/publish/natsconn"
)

// minAge is the least age up to which a stream must keep events, unless the settings say
// less: a consumer that is restarted has to find what came meanwhile.
const minAge = 5 * time.Minute

// Check reports whether an acknowledgement of the stream means that an event on the
// subjects of want is stored and can be read. Everything else is the operator's decision.
func Check(got, want *jetstream.StreamConfig) error {
	for _, subjects := range want.Subjects {
		if captures(got, subjects) {
			continue
		}
		return natsconn.Errorf("Stream", "stream %s captures %s, expected %s: use a stream that captures it or that does not exist yet, "+
			"or a subject root that this one captures", got.Name, subjectList(got), subjects)
	}
	reason := cmp.Or(notStored(got), dropped(got, want))
	if reason == "" {
		return nil
	}
	return natsconn.Errorf("Stream", "stream %s %s: change it, or use another one", got.Name, reason)
}

// notStored returns why an acknowledgement does not mean that an event is stored.
func notStored(got *jetstream.StreamConfig) string {
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
	case got.MaxMsgSize > 0 && got.MaxMsgSize < MinMessage:
		return "takes only messages that are too small (max_msg_size)"
	case got.SubjectTransform != nil:
		return "stores events under other subjects (subject_transform)"
	default:
		return ""
	}
}

// dropped returns how a stream drops events that a consumer may still wait for. Only
// the events' stream must not.
func dropped(got, want *jetstream.StreamConfig) string {
	least := minAge
	if want.MaxAge > 0 {
		least = min(least, want.MaxAge)
	}
	keepsAll := want.Discard == jetstream.DiscardNew
	switch {
	case got.Retention == jetstream.InterestPolicy:
		return "drops events that no consumer is there for (interest retention)"
	case got.MaxAge > 0 && got.MaxAge < least:
		return fmt.Sprintf("drops events when they are %s old (max_age), expected at least %s", got.MaxAge, least)
	case keepsAll && got.Discard == jetstream.DiscardOld && (got.MaxBytes > 0 || got.MaxMsgs > 0):
		return "drops its oldest events at its limits, whether or not they were consumed (discard old)"
	case keepsAll && got.MaxMsgsPerSubject > 0 && got.DiscardNewPerSubject:
		return "rejects further events of a subject (max_msgs_per_subject, discard_new_per_subject)"
	case keepsAll && got.MaxMsgsPerSubject > 0:
		return "drops all but the newest events of each subject (max_msgs_per_subject)"
	default:
		return ""
	}
}

// captures reports whether one of the stream's filters covers all of subjects. A mirror
// has none.
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

// CheckRoom reports whether a stream that rejects at its limits accepts two more messages
// of the largest size: several deliveries can be in progress.
func CheckRoom(info *jetstream.StreamInfo, message int) error {
	c, state := &info.Config, &info.State
	if c.Discard != jetstream.DiscardNew {
		return nil
	}
	if c.MaxMsgs > 0 && state.Msgs >= uint64(c.MaxMsgs) {
		return fmt.Errorf("stream %s is full: it holds %d of %d messages; consume and purge events, or raise its limit", c.Name, state.Msgs, c.MaxMsgs)
	}
	if c.MaxBytes <= 0 {
		return nil
	}
	// A small stream is not full from the beginning, unless no message fits.
	reserve := max(min(2*uint64(message), uint64(c.MaxBytes)/20), MinMessage)
	if state.Bytes+reserve > uint64(c.MaxBytes) {
		return fmt.Errorf("stream %s is full: it holds %d of %d bytes; consume and purge events, or raise its max_bytes (the configured bound is for a new stream)", c.Name, state.Bytes, c.MaxBytes)
	}
	return nil
}

// messageLimit returns the largest message, header included, that all streams accept, in
// bytes; 0 if none has a bound. A stream with a tiny bound is full: it rejects, and does
// not turn every event into a dead letter.
func messageLimit(streams []*jetstream.StreamConfig) int {
	limit := 0
	for _, s := range streams {
		half := int(s.MaxBytes / 2)
		if half > 0 {
			half = max(half, MinMessage)
		}
		for _, size := range []int{int(s.MaxMsgSize), half} {
			if size > 0 && (limit == 0 || size < limit) {
				limit = size
			}
		}
	}
	return limit
}
