package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/powercut"
)

// cutVariant is a way to run the gateway until the power goes.
type cutVariant struct {
	name  string
	sync  string // GATEWAY_SYNC
	share int    // of the cuts, of all shares together

	perDisk int           // loads, each with its cut, before an empty disk takes over
	longest time.Duration // from the first answer to the cut
	events  int           // most in one delivery
	title   int           // bytes; what makes events large
	flush   time.Duration // how much longer each flush takes
	twice   bool          // each delivery comes twice at the same time
	killed  bool          // kill -9 comes first, and the platform delivers again
	starts  bool          // the gateway's start is cut too, on an empty disk and after each cut
	purges  bool          // a consumer acknowledges at once, and the stream is small: what it has read is purged
	loses   bool          // what was answered is lost: expected, and else the rig shows nothing
}

var cutVariants = []cutVariant{
	{name: "interval", sync: settings.SyncInterval, share: 6, perDisk: 3, longest: 2 * time.Second, events: 20, loses: true},
	{name: "always", sync: settings.SyncAlways, share: 12, perDisk: 4, longest: 2 * time.Second, events: 20},
	{name: "always, delivered twice", sync: settings.SyncAlways, share: 4, perDisk: 2, longest: 2 * time.Second, events: 3, flush: time.Millisecond, twice: true},
	{name: "group", sync: settings.SyncGroup, share: 14, perDisk: 4, longest: 2 * time.Second, events: 20},
	{name: "group, first start", sync: settings.SyncGroup, share: 10, perDisk: 1, longest: 60 * time.Millisecond, events: 1},
	{name: "group, block roll-over", sync: settings.SyncGroup, share: 10, perDisk: 2, longest: 2 * time.Second, events: 3, title: 200 << 10},
	{name: "group, delivered twice", sync: settings.SyncGroup, share: 6, perDisk: 3, longest: time.Second, events: 20, flush: 5 * time.Millisecond, twice: true},
	{name: "group, killed first", sync: settings.SyncGroup, share: 6, perDisk: 3, longest: time.Second, events: 20, flush: 5 * time.Millisecond, killed: true},
	{name: "group, starts cut too", sync: settings.SyncGroup, share: 6, perDisk: 2, longest: time.Second, events: 20, starts: true},
	{name: "group, purged meanwhile", sync: settings.SyncGroup, share: 8, perDisk: 4, longest: 2 * time.Second, events: 3, title: 8 << 10, purges: true},
}

// cutSystems is in which order the cuts of a variant take the file systems. Half of
// them are of ext4, which promises least.
var cutSystems = []powercut.FileSystem{powercut.Ext4, powercut.XFS, powercut.Ext4, powercut.Btrfs}

// cuts is how many of all cuts are those of variant i, for each file system. There are
// at least two, because one may come when everything happens to be synced, and as many
// on each file system where the loss is the proof of the rig. Few cuts begin with
// another file system in each variant, so that all come to their turn.
func (v *cutVariant) cuts(all, i int) map[powercut.FileSystem]int {
	shares, n := 0, make(map[powercut.FileSystem]int)
	for i := range cutVariants {
		shares += cutVariants[i].share
	}
	for turn := range max(2, (all*v.share+shares/2)/shares) {
		n[cutSystems[(i+turn)%len(cutSystems)]]++
	}
	if v.loses {
		for _, system := range cutSystems {
			n[system] = max(n[system], 2)
		}
	}
	return n
}

// allCuts is how often the power is cut under load; POWERCUT_CUTS sets it. Cuts
// of a gateway that starts come on top.
func allCuts(t *testing.T) int {
	t.Helper()
	powercut.Need(t, powercut.Ext4)
	text := os.Getenv("POWERCUT_CUTS")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("POWERCUT_CUTS %q: expected a number from 1", text)
	}
	return n
}

// TestPowerCut cuts the power of the gateway's disk under load at moments that
// nobody chose, starts the gateway on what is left, and looks for every event of
// the deliveries that had been answered 200: it is in the stream, once. The same
// deliveries, sent again, are all duplicates. With GATEWAY_SYNC=interval events are
// lost; if none were, the test would prove nothing, and it fails.
//
// Each gateway has a durable consumer and relays to a server whose disk keeps its power.
// After each cut both have to get everything that was answered 200.
func TestPowerCut(t *testing.T) {
	all := allCuts(t)
	var table strings.Builder
	table.WriteString("| file system | variant | cuts | events answered 200 | lost | doubled | cuts with loss | cuts that left corrupt metadata |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, system := range slices.Compact(slices.Sorted(slices.Values(cutSystems))) {
		t.Run(string(system), func(t *testing.T) {
			powercut.Need(t, system)
			for i := range cutVariants {
				v := &cutVariants[i]
				if n := v.cuts(all, i)[system]; n > 0 {
					t.Run(v.name, func(t *testing.T) { table.WriteString(cutOften(t, system, v, n)) })
				}
			}
		})
	}
	t.Logf("power cuts:\n%s", table.String())
}

// cutOften returns a line of the table.
func cutOften(t *testing.T, system powercut.FileSystem, v *cutVariant, n int) string {
	s := &cutSeries{t: t, variant: v, system: system, cluster: natstest.Start(t, "")}
	for range n {
		s.round()
	}
	// A cut can come when all happens to be synced, and leave the rest by chance.
	for further := 10; v.loses && s.lost == 0 && further > 0; further-- {
		s.round()
	}
	s.judge()
	return fmt.Sprintf("| %s | %s | %d | %d | %d | %d | %d | %d |\n", system, v.name, s.cuts, s.answered, s.lost, s.doubled, s.lossy, s.corrupt)
}

// cutDiskBytes is the size of a disk. The stream may fill half of it.
const cutDiskBytes = 4 << 30

// cutSeries is what the cuts of a variant have in common, and what they found.
type cutSeries struct {
	t        *testing.T
	variant  *cutVariant
	system   powercut.FileSystem
	cluster  *natstest.Server // which the gateway relays to
	moved    *cutReader       // of what is there
	disk     *powercut.Disk
	onDisk   int // loads that this disk has seen
	p        *gatewayProcess
	reader   cutReader
	kept     []cutDelivery // answered 200 by gateways on this disk, and not lost
	aside    int           // corrupt files on this disk, so far
	followed int           // of kept: those that consumer and relay have got

	cuts, answered, lost, doubled, lossy, purged, corrupt int
}

// round is a cut with what comes before and after it.
func (s *cutSeries) round() {
	if s.disk == nil || s.onDisk == s.variant.perDisk {
		s.emptyDisk()
	}
	load := startCutLoad(s.p, s.variant)
	if s.variant.purges && s.onDisk == 0 {
		natstest.Eventually(s.t, "more events than the stream holds, so that some are purged", func() bool {
			return countEvents(load.answered())*s.variant.title > purgedStream
		})
	}
	load.pass()
	if s.variant.killed {
		s.killFirst(load)
	}
	// First the answers, then the cut: all of them have been given before it.
	answered := load.answered()
	s.cut(load.end)
	s.onDisk++
	s.kept = append(s.kept, answered...)
	s.start()
	if secret := s.p.secret(); secret != load.secret && len(answered) > 0 && !s.variant.loses {
		s.t.Errorf("cut %d: the gateway has lost the app secret that it had made", s.cuts)
	}
	s.answered += countEvents(answered)
	s.compare()
	s.follow()
	if s.variant.purges {
		s.purged += int(s.state().FirstSeq - 1)
	} else { // ids of events that were just purged can be forgotten
		s.sendAgain()
	}
}

// purgedStream is the bound of a stream that is purged, in bytes.
const purgedStream = 16 << 20

func (s *cutSeries) env() []string {
	env := []string{"GATEWAY_LOG_LEVEL=info", "GATEWAY_SYNC=" + s.variant.sync, "GATEWAY_RELAY=true", "GATEWAY_NATS_URL=" + s.cluster.URL()}
	if s.variant.purges {
		env = append(env, fmt.Sprintf("GATEWAY_STREAM_MAX_BYTES=%d", purgedStream))
	}
	return env
}

func (s *cutSeries) emptyDisk() {
	if s.disk != nil {
		s.p.kill()
		s.disk.Remove()
	}
	s.disk, s.onDisk, s.kept, s.aside, s.followed = powercut.New(s.t, s.system, cutDiskBytes), 0, nil, 0, 0
	s.disk.SlowDown(s.variant.flush)
	s.start()
	s.reader.read(s.t, s.p.at.NATS)
}

// start returns when a gateway is up, on the second try where starts are cut.
func (s *cutSeries) start() {
	if s.variant.starts {
		s.cutStart()
	}
	s.p = startGateway(s.t, s.disk.Dir(), s.env()...)
}

// cut takes the disk's power, at once. end ends what uses the disk, which goes on
// as if nothing had happened; then the gateway's disk is what the cut has left.
func (s *cutSeries) cut(end func()) {
	left := s.disk.Cut(keepOfCut())
	end()
	s.p.kill()
	s.disk.Remove()
	left.Mount()
	if text := left.Repaired(); text != "" {
		s.t.Logf("cut %d left a file system that had to be repaired beyond its journal:\n%s", s.cuts+1, text)
	}
	s.disk = left
	s.cuts++
}

// keepOfCut is how much of what was not flushed is left: nothing, or some.
func keepOfCut() float64 {
	if rand.IntN(2) == 0 {
		return 0
	}
	return rand.Float64()
}

// longestStart is more than a start takes on a machine that is not busy.
const longestStart = 80 * time.Millisecond

// cutStart starts the gateway and cuts before it is up, or soon after.
func (s *cutSeries) cutStart() {
	s.p = newProcess(s.t, s.disk.Dir(), s.env()...)
	if err := s.p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.p.kill)
	time.Sleep(rand.N(longestStart))
	s.cut(func() {})
}

// killFirst kills the gateway under load, starts it again on the same disk, and
// sends again one delivery that was not answered. The kernel holds what the first
// gateway had written, so that this is likely a duplicate of what is on no disk
// yet; and with no other delivery its answer rests on its own sync.
func (s *cutSeries) killFirst(load *cutLoad) {
	s.p.kill()
	load.end()
	s.p = startGateway(s.t, s.disk.Dir(), s.env()...)
	open := load.unanswered()
	d := open[rand.IntN(len(open))]
	if a := s.send(d); a.Accepted+a.Duplicates != len(d.ids) {
		s.t.Errorf("sent again after a kill: answered %+v to a delivery of %d events", a, len(d.ids))
	}
	load.keep(d)
}

// compare looks for what was answered, in what is stored.
func (s *cutSeries) compare() {
	found := storedIDs(s.t, s.p.at.NATS)
	var kept []cutDelivery
	lost, first := 0, ""
	for _, d := range s.kept {
		missing := 0
		for _, id := range d.ids {
			if found[id] == 0 && !(s.variant.purges && s.reader.has(id)) {
				missing++
			}
		}
		if missing == 0 {
			kept = append(kept, d)
		} else if lost += missing; first == "" {
			first = d.ids[0]
		}
	}
	if lost > 0 {
		s.lossy++
		s.t.Logf("cut %d lost %d of %d events, from %s on; %d are stored", s.cuts, lost, countEvents(s.kept), first, len(found))
	}
	for id, n := range found {
		if n != 1 {
			s.doubled++
			s.t.Errorf("%s is stored %d times", id, n)
		}
	}
	s.followed = max(0, s.followed-(len(s.kept)-len(kept)))
	s.kept, s.lost = kept, s.lost+lost
}

// resent is how many deliveries are sent again after a cut.
const resent = 40

// sendAgain sends some deliveries that were answered before the cut, the last ones
// among them, as a platform does that has not seen the answer.
func (s *cutSeries) sendAgain() {
	sample := slices.Clone(s.kept[max(0, len(s.kept)-resent/2):])
	for range min(resent-len(sample), len(s.kept)) {
		sample = append(sample, s.kept[rand.IntN(len(s.kept))])
	}
	before := s.state().Msgs
	for _, d := range sample {
		if a := s.send(d); a.Duplicates != len(d.ids) {
			s.t.Errorf("sent again after a cut: answered %+v to a delivery of %d stored events", a, len(d.ids))
		}
	}
	if after := s.state().Msgs; after != before {
		s.doubled += int(after - before)
		s.t.Errorf("repeated deliveries made %d events of %d", after, before)
	}
}

// send posts a delivery, again if it is answered 503, as a platform does: the store of
// GATEWAY_SYNC=interval can fail after a cut, and the server starts again in its place.
func (s *cutSeries) send(d cutDelivery) (a cutAnswer) {
	s.t.Helper()
	said := ""
	natstest.Eventually(s.t, "an answer that is not 503", func() bool {
		var err error
		a, err = postDelivery(s.p.at.Webhook, s.p.secret(), d)
		if err == nil {
			return true
		}
		if !strings.HasPrefix(err.Error(), "answered 503") {
			s.t.Fatal(err)
		}
		if err.Error() != said {
			said = err.Error()
			_, why := s.p.get(s.p.at.Admin + "/readyz")
			s.t.Logf("%s\nreadyz: %s", said, why)
		}
		return false
	})
	return a
}

func (s *cutSeries) state() jetstream.StreamState {
	s.t.Helper()
	js := natstest.JetStream(s.t, s.p.at.NATS, nats.RetryOnFailedConnect(true)) // the server may start again in its place
	var stream jetstream.Stream
	natstest.Eventually(s.t, "a stream that answers", func() bool {
		var err error
		stream, err = js.Stream(s.t.Context(), "POSTBACKS")
		return err == nil
	})
	return stream.CachedInfo().State
}

// judge says whether the variant did what is expected of it.
func (s *cutSeries) judge() {
	if s.answered == 0 {
		s.t.Error("nothing was answered 200 before any cut")
	}
	if s.variant.purges && s.purged == 0 {
		s.t.Error("nothing was purged before any cut")
	}
	if s.variant.loses && s.lost == 0 {
		s.t.Errorf("%d cuts lost nothing: the disk drops no writes, and the other variants prove nothing", s.cuts)
	}
	if !s.variant.loses && s.lost > 0 {
		s.t.Errorf("%d of %d events that were answered 200 are lost", s.lost, s.answered)
	}
}

// TestPowerCutAfterKill: what a killed gateway had written and not synced is a
// duplicate for the next one, and the answer 200 to it has to hold, too. The
// first gateway is one that answers before it syncs, so that there is such a thing.
func TestPowerCutAfterKill(t *testing.T) {
	powercut.Need(t, powercut.Ext4)
	for _, sync := range []string{settings.SyncGroup, settings.SyncAlways} {
		t.Run(sync, func(t *testing.T) {
			disk, d := powercut.New(t, powercut.Ext4, cutDiskBytes), cutDelivery{ids: []string{"m_1", "m_2"}}
			p := startGateway(t, disk.Dir(), "GATEWAY_SYNC="+settings.SyncInterval)
			if a, err := postDelivery(p.at.Webhook, p.secret(), d); err != nil || a.Accepted != 2 {
				t.Fatalf("answered %+v, %v", a, err)
			}
			p.kill()
			p = startGateway(t, disk.Dir(), "GATEWAY_SYNC="+sync)
			if a, err := postDelivery(p.at.Webhook, p.secret(), d); err != nil || a.Duplicates != 2 {
				t.Fatalf("sent again: answered %+v, %v", a, err)
			}
			left := disk.Cut(0)
			left.Mount()
			p = startGateway(t, left.Dir(), "GATEWAY_SYNC="+sync)
			if found := storedIDs(t, p.at.NATS); found["m_1"] != 1 || found["m_2"] != 1 {
				t.Errorf("both were answered 200, and stored are %v", found)
			}
		})
	}
}
