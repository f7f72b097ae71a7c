package publish_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestConflictingDuplicates: two events with one id are duplicates by the contract, also
// in different deliveries. If they differ a click is lost, and the log says so.
func TestConflictingDuplicates(t *testing.T) {
	var log natstest.Log
	p, err := publish.Open(t.Context(), embeddedConfig(t), slog.New(slog.NewTextHandler(&log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	store := func(item schema.Item, want schema.Outcome) {
		t.Helper()
		outcomes, err := p.Publish(withDeadline(t, 10*time.Second), []schema.Item{item})
		if err != nil || outcomes[0] != want {
			t.Fatalf("got %v, %v, want %s", outcomes, err, want)
		}
	}
	const warning = "the id of another click"
	store(click("m1", "plan"), schema.Stored)
	store(click("m1", "plan"), schema.Duplicate)
	if err := p.Close(withDeadline(t, 10*time.Second)); err != nil { // waits for the look at what is stored
		t.Fatal(err)
	}
	if strings.Contains(log.String(), warning) {
		t.Errorf("the same click: %s", &log)
	}

	cfg := embeddedConfig(t)
	if p, err = publish.Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)), nil); err != nil {
		t.Fatal(err)
	}
	store(click("m1", "plan"), schema.Stored)
	store(click("m1", "hush"), schema.Duplicate)
	if err := p.Close(withDeadline(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), warning); n != 1 || strings.Contains(log.String(), "hush") {
		t.Errorf("%d warnings: %s", n, &log)
	}
}
