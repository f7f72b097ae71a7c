package ingest

import (
	"context"
	"testing"
	"time"
)

// TestDeadlines: deliveries of a moment share a context, and none gets much less or more
// than its time.
func TestDeadlines(t *testing.T) {
	hour := deadlines{timeout: time.Hour}
	if hour.next() != hour.next() {
		t.Error("two deliveries of one moment have two contexts")
	}
	const timeout = 64 * time.Millisecond
	short := deadlines{timeout: timeout}
	first := short.next()
	for before := time.Now(); first.Err() == nil; before = time.Now() {
		ends, ok := short.next().Deadline()
		if after := time.Now(); !ok || ends.Before(before.Add(timeout-timeout/sharedPart)) || ends.After(after.Add(timeout)) {
			t.Fatalf("a delivery between %s and %s has time until %s, %t", before, after, ends, ok)
		}
	}
	if first.Err() != context.DeadlineExceeded {
		t.Errorf("ended with %v", first.Err())
	}
	if short.next() == first {
		t.Error("a context that has ended is used again")
	}
}
