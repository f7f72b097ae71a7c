package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

const benchConnections = 64

// startBenchGateway takes further settings from BENCH_ENV, such as
// "GATEWAY_INCLUDE_RAW=true".
func startBenchGateway(b *testing.B, dir, sync string) *gatewayProcess {
	return startGateway(b, dir, append(strings.Fields(os.Getenv("BENCH_ENV")), "GATEWAY_LOG_LEVEL=info", "GATEWAY_SYNC="+sync)...)
}

// benchmarkFrontDoor posts signed deliveries to a gateway process with its embedded
// server over keep-alive connections, every click a new one. An operation is a
// delivery. Beside the time it reports what the gateway process itself used: CPU and
// allocations for each event. It ends the gateway.
func benchmarkFrontDoor(b *testing.B, p *gatewayProcess, events, connections int) {
	load := newBenchLoad(b, p, events, connections)
	requests := load.prepare(b.N)
	before := p.usage()
	b.SetBytes(int64(len(load.delivery.body)))
	b.ResetTimer()
	load.post(b, requests)
	b.StopTimer()
	used, total := p.usage().minus(before), float64(b.N*events)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(used.cpu/total*1e6, "server-cpu-µs/event")
	b.ReportMetric(used.mallocs/total, "server-allocs/event")
	p.terminate()
}

// benchLoad delivers to one gateway over connections that it keeps.
type benchLoad struct {
	delivery *benchDelivery
	clients  []*benchClient
	made     int
}

func newBenchLoad(b *testing.B, p *gatewayProcess, events, connections int) *benchLoad {
	l := &benchLoad{delivery: newBenchDelivery(p.secret(), events)}
	for range connections {
		l.clients = append(l.clients, newBenchClient(b, p.at.Webhook, l.delivery.answer()))
	}
	return l
}

// prepare returns n requests with clicks that were not there before.
func (l *benchLoad) prepare(n int) [][]byte {
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = l.delivery.request(l.made)
		l.made++
	}
	return requests
}

// post returns when all are answered.
func (l *benchLoad) post(b *testing.B, requests [][]byte) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, c := range l.clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(len(requests)); n = next.Add(1) {
				c.deliver(b, requests[n-1])
			}
		})
	}
	wg.Wait()
}

// benchDelivery is a body in which the ids change and nothing else.
type benchDelivery struct {
	secret string
	body   []byte
	ids    []int // where the ids are
}

const benchID = "m_00000000000000000000"

func newBenchDelivery(secret string, events int) *benchDelivery {
	click := simulate.Click{Account: "682498171943165", User: "1254459154682919", Title: "Enterprise", Payload: "show_plan:enterprise", ID: benchID}
	clicks := make([]simulate.Click, events)
	for i := range clicks {
		clicks[i] = click
	}
	d := &benchDelivery{secret: secret, body: simulate.Messenger(clicks...)}
	for at := 0; ; {
		i := bytes.Index(d.body[at:], []byte(benchID))
		if i < 0 {
			return d
		}
		d.ids = append(d.ids, at+i)
		at += i + len(benchID)
	}
}

// request makes the clicks of the delivery new ones and returns it, signed.
func (d *benchDelivery) request(n int) []byte {
	for i, at := range d.ids {
		copy(d.body[at:], fmt.Sprintf("m_%020d", n*len(d.ids)+i))
	}
	return fmt.Appendf(nil, "POST /webhooks/meta HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"+
		"X-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n%s", simulate.Sign(d.secret, d.body), len(d.body), d.body)
}

// answer is the body of the answer to each of them.
func (d *benchDelivery) answer() []byte {
	return fmt.Appendf(nil, `{"accepted":%d,"duplicates":0,"ignored":0,"rejected":0}`, len(d.ids))
}

// benchClient is a connection that costs next to nothing beside the gateway, with
// which it shares the processors: it sends what was made in advance, and does not
// parse the answer beyond its end.
type benchClient struct {
	conn net.Conn
	want []byte
	in   []byte
}

func newBenchClient(b *testing.B, url string, answer []byte) *benchClient {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &benchClient{conn: conn, want: answer, in: make([]byte, 4<<10)}
}

func (c *benchClient) deliver(b *testing.B, request []byte) {
	if _, err := c.conn.Write(request); err != nil {
		b.Error(err)
		return
	}
	n := 0
	for n == 0 || c.in[n-1] != '}' {
		more, err := c.conn.Read(c.in[n:])
		if n += more; err != nil || n == len(c.in) {
			b.Errorf("no whole answer: %v, %q", err, c.in[:n])
			return
		}
	}
	if answer := c.in[:n]; !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(answer, c.want) {
		b.Errorf("expected 200 and %s, got %q", c.want, answer)
	}
}

// usage is what a process has used since it started.
type usage struct{ cpu, mallocs float64 }

func (u usage) minus(v usage) usage { return usage{u.cpu - v.cpu, u.mallocs - v.mallocs} }

func (p *gatewayProcess) usage() usage {
	_, text := p.get(p.at.Admin + "/metrics")
	return usage{metricValue(p.t, text, "process_cpu_seconds_total"), metricValue(p.t, text, "go_memstats_mallocs_total")}
}

// metricValue returns the value of a series without labels.
func metricValue(t testing.TB, scrape, name string) float64 {
	t.Helper()
	_, rest, found := strings.Cut(scrape, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		t.Fatalf("no %s in the scrape: %v", name, err)
	}
	return n
}
