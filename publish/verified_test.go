package publish

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestNothingIsPublishedUnverified: the server forgets ids after its window, so a gateway
// that has not looked at the streams for long cannot know what was stored.
func TestNothingIsPublishedUnverified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &duplicates{base: time.Now()}
		if err := d.err(); err == nil || !strings.Contains(err.Error(), "repeated deliveries would not be recognised") {
			t.Errorf("before the first sample: %v", err)
		}
		d.verified.Store(1)
		time.Sleep(maxUnverified - time.Second)
		if err := d.err(); err != nil {
			t.Errorf("shortly after a sample: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := d.err(); err == nil {
			t.Error("long after the last sample: no error")
		}
	})
}
