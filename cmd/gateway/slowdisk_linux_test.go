package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/publish/powercut"
)

const (
	slowFlush     = 2 * time.Millisecond
	slowDiskBytes = 16 << 30
)

// BenchmarkSlowDisk is the front door on a disk on which each flush takes 2 ms
// longer, as on disks without a cache that outlives the power: there it counts how
// many deliveries share a flush. Beside the figures of benchmarkFrontDoor it
// reports the flushes for each event.
func BenchmarkSlowDisk(b *testing.B) {
	if err := powercut.Check(powercut.Ext4); err != nil {
		b.Skip("NOT MEASURED:", err)
	}
	for _, connections := range []int{1, benchConnections} {
		for _, sync := range []string{settings.SyncGroup, settings.SyncAlways} {
			b.Run(fmt.Sprintf("events=1/connections=%d/sync=%s", connections, sync), func(b *testing.B) {
				benchmarkSlowDisk(b, connections, sync)
			})
		}
	}
}

func benchmarkSlowDisk(b *testing.B, connections int, sync string) {
	disk := powercut.New(b, powercut.Ext4, slowDiskBytes)
	p := startBenchGateway(b, disk.Dir(), sync)
	disk.SlowDown(slowFlush)
	before := disk.Flushes()
	benchmarkFrontDoor(b, p, 1, connections)
	b.ReportMetric(float64(disk.Flushes()-before)/float64(b.N), "flushes/event")
}
