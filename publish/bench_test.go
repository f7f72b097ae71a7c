package publish_test

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkPublish stores deliveries through the embedded server, at its default sync.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 20} {
		for _, parallel := range []int{1, 32} { // goroutines per processor
			b.Run(fmt.Sprintf("events=%d/parallel=%d", size, parallel), func(b *testing.B) {
				p := mustOpen(b, embeddedConfig(b))
				var delivery atomic.Int64
				b.ReportAllocs()
				b.SetParallelism(parallel)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						items := clicks(fmt.Sprint(delivery.Add(1)), size)
						if _, err := p.Publish(b.Context(), items); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
