package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// question asks for the message Seq, or for the first one at or after it whose subject
// fits the filter Next.
type question struct {
	Seq  uint64 `json:"seq"`
	Next string `json:"next_by_subj,omitempty"`
}

// askTimeout bounds one question to the leader: long enough for the election of one.
const askTimeout = 10 * time.Second

// ask returns what the leader of a stream says, nil when there is no such message.
// [jetstream.Stream.GetMsg] is not for this: where the stream allows it any replica
// answers, also one that is behind, and in an answer that looks like the message, so
// that one with the header Status: 404 is "not found".
func ask(ctx context.Context, nc *nats.Conn, stream string, q question) (*jetstream.RawStreamMsg, error) {
	request, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("the server did not say what message %d of stream %s is: %w", q.Seq, stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(reply.Data, &answer); {
	case err != nil:
		return nil, fmt.Errorf("the server's answer about message %d of stream %s: %w", q.Seq, stream, err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil || answer.Message.Seq < q.Seq:
		return nil, fmt.Errorf("the server's answer about message %d of stream %s has no such message: %.200q", q.Seq, stream, reply.Data)
	}
	m := answer.Message
	header := nats.Header{}
	if len(m.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("message %d of stream %s has a header that cannot be read: %w", m.Seq, stream, err)
		}
	}
	return &jetstream.RawStreamMsg{Subject: m.Subject, Sequence: m.Seq, Header: header, Data: m.Data, Time: m.Time}, nil
}
