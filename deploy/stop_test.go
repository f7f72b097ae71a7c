package deploy

import (
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	// dockerGrace is what docker stop and podman stop wait before they kill, where
	// nobody says otherwise.
	dockerGrace = 10 * time.Second
	// stopMargin is for what stands around a stop: the signal's way, and the end of the
	// process.
	stopMargin = 2 * time.Second
)

// TestGracePeriods: whatever stops a gateway waits until it has stopped by itself. One
// that is killed leaves deliveries unanswered, and its store to be recovered.
func TestGracePeriods(t *testing.T) {
	systemd, err := time.ParseDuration(unit(t)["TimeoutStopSec"][0])
	if err != nil {
		t.Fatal(err)
	}
	need := duration(t, "GATEWAY_SHUTDOWN_TIMEOUT")
	for name, grace := range map[string]time.Duration{
		"docker run, without --stop-timeout":    dockerGrace,
		"compose.yaml, stop_grace_period":       mustStack(t).Services["gateway"].StopGracePeriod,
		"systemd, TimeoutStopSec":               systemd,
		"Helm, added to shutdownTimeoutSeconds": need + helmMargin(t),
	} {
		if grace < need+stopMargin {
			t.Errorf("%s: %s, expected at least %s more than GATEWAY_SHUTDOWN_TIMEOUT (%s)", name, grace, stopMargin, need)
		}
	}
}

// helmMargin returns what the chart adds to the gateway's own timeout.
func helmMargin(t *testing.T) time.Duration {
	t.Helper()
	period := regexp.MustCompile(`terminationGracePeriodSeconds: \{\{ add \.Values\.shutdownTimeoutSeconds \.Values\.preStopSleepSeconds (\d+) \}\}`)
	found := period.FindSubmatch(mustRead(t, "helm/postback-gateway/templates/_pod.tpl"))
	if found == nil {
		t.Fatal("the chart's pod has no terminationGracePeriodSeconds that grows with shutdownTimeoutSeconds")
	}
	seconds, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds) * time.Second
}
