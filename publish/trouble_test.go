package publish

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestEvery: what fails is told once, until it has been well or something else fails.
func TestEvery(t *testing.T) {
	p, log := mustOpenWith(t, embeddedConfig(t), nil)
	one, other := errors.New("one"), errors.New("other")
	ctx, cancel := context.WithCancel(t.Context())
	results := []error{one, one, nil, one, other, other, nil}
	p.every(ctx, time.Millisecond, "it stays as it is", func(context.Context) error {
		if len(results) == 0 {
			cancel()
			return ctx.Err() // of the end nothing is told
		}
		err := results[0]
		results = results[1:]
		return err
	})
	var told []string
	for line := range strings.Lines(log.String()) {
		if _, text, found := strings.Cut(line, "it stays as it is"); found {
			told = append(told, strings.TrimSpace(text))
		}
	}
	if got := strings.Join(told, ", "); got != `" stream=POSTBACKS error=one, " stream=POSTBACKS error=one, " stream=POSTBACKS error=other` {
		t.Errorf("told: %s", got)
	}
}

// TestEveryWithoutConnection: that it is lost is told by itself.
func TestEveryWithoutConnection(t *testing.T) {
	p, log := mustOpenWith(t, embeddedConfig(t), nil)
	p.setOnline(false)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	p.every(ctx, time.Millisecond, "it stays as it is", func(context.Context) error {
		if calls++; calls == 2 {
			cancel()
		}
		return errors.New("not connected")
	})
	if strings.Contains(log.String(), "it stays as it is") {
		t.Errorf("log: %s", log)
	}
}
