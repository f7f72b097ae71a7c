package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// getTimeout bounds one request to the leader: long enough to elect one.
const getTimeout = 10 * time.Second

// Query is for the message Seq, or for the first one at or after it that Filter matches,
// or for the last one that Last matches.
type Query struct {
	Seq    uint64 `json:"seq,omitempty"`
	Filter string `json:"next_by_subj,omitempty"`
	Last   string `json:"last_by_subj,omitempty"`
}

// GetMessage returns a message as the stream's leader has it; nil if there is none.
//
// [jetstream.Stream.GetMsg] does not do: if the stream allows it any replica responds,
// also one that is behind. Its response looks like the message, so the client takes one
// with the header Status: 404 for "not found".
func GetMessage(ctx context.Context, nc *nats.Conn, stream string, q Query) (*Message, error) {
	request, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("the server did not return message %d of stream %s: %w", q.Seq, stream, err)
	}
	var response struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(reply.Data, &response); {
	case err != nil:
		return nil, fmt.Errorf("the server's response about message %d of stream %s: %w", q.Seq, stream, err)
	case response.Error != nil && response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case response.Error != nil:
		return nil, response.Error
	case response.Message == nil || response.Message.Seq < q.Seq:
		return nil, fmt.Errorf("the server's response about message %d of stream %s has no such message: %.200q", q.Seq, stream, reply.Data)
	}
	m := response.Message
	header := nats.Header{}
	if len(m.Header) > 0 {
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, fmt.Errorf("message %d of stream %s has a header that cannot be decoded: %w", m.Seq, stream, err)
		}
	}
	return &Message{Subject: m.Subject, Header: header, Data: m.Data, Sequence: m.Seq, Time: m.Time}, nil
}
