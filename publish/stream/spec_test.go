package stream

import (
	"testing"
	"time"
)

// TestServerWindow: the server's window is short where the gateway has an index, and only
// there.
func TestServerWindow(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		indexed              bool
		window               time.Duration
		published, unclaimed time.Duration
	}{
		{"a cluster", false, time.Hour, time.Hour, time.Hour},
		{"one machine", true, time.Hour, ServerWindow, time.Hour},
		{"a window that is short already", true, time.Minute, time.Minute, time.Minute},
	} {
		s := &Settings{Stream: "S", Root: "r", Indexed: tt.indexed, DuplicateWindow: tt.window}
		for _, spec := range []*Spec{Events, Others, DeadLetters, Deliveries} {
			if got := s.Config(spec).Duplicates; got != tt.published {
				t.Errorf("%s, stream %s: %s, expected %s", tt.name, s.Name(spec), got, tt.published)
			}
		}
		if got := s.Config(Unclaimed).Duplicates; got != tt.unclaimed {
			t.Errorf("%s, unclaimed events: %s, expected %s", tt.name, got, tt.unclaimed)
		}
	}
}
