package ingest

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/postback-gateway/gateway/schema"
)

// ErrTruncated says that only the beginning of a body was kept.
var ErrTruncated = errors.New("only the beginning of the body is kept: it cannot be parsed")

// ParseAgain returns the items of a dead letter as if its delivery was received now: with
// the ids and the time of receipt of the first time. Items that are dead letters again
// have no Event. There is no item if the body has no event. The error says why the dead
// letter cannot be parsed at all.
func (s *Server) ParseAgain(d *schema.DeadLetter) ([]schema.Item, error) {
	if d.Truncated {
		return nil, ErrTruncated
	}
	hook := s.hookOf(d.Platform)
	body, err := d.Delivery()
	switch {
	case err != nil:
		return nil, fmt.Errorf("the body is not %s: %w", d.Encoding, err)
	case hook == nil:
		return nil, fmt.Errorf("no webhook receives deliveries of %.40q", d.Platform)
	case hook.account != "" && d.Account == "":
		return nil, errors.New("the dead letter does not say which bot received it")
	}
	b := batch{
		account: d.Account, receivedAt: d.ReceivedAt, includeRaw: s.cfg.IncludeRaw, storeOther: s.cfg.StoreOther,
		size: len(body), isUTF8: utf8.Valid(body),
	}
	hook.decode(&b, body)
	if b.surplus > 0 {
		b.deadLetterSurplus(hook.name, body)
	}
	return b.items, nil
}

// hookOf returns the webhook of a platform, or of a webhook's name; nil if there is none.
func (s *Server) hookOf(platform string) *webhook {
	if hook := s.hooks[schema.WebhookOf(platform)]; hook != nil {
		return hook
	}
	return s.hooks[platform]
}
