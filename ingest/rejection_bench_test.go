package ingest

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// rawClient sends the same request again and again on one connection. It costs little
// compared to the server, whose CPU time the benchmarks measure.
type rawClient struct {
	conn    net.Conn
	request []byte
	buffer  [2048]byte
}

func dialRaw(tb testing.TB, url string, request []byte) *rawClient {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &rawClient{conn: conn, request: request}
}

// do returns the status of the response.
func (c *rawClient) do() (string, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return "", err
	}
	n, err := c.conn.Read(c.buffer[:])
	if err != nil {
		return "", err
	}
	_, status, _ := strings.Cut(string(c.buffer[:min(n, 12)]), " ")
	return status, nil
}

func rawRequest(body []byte, signature string) []byte {
	var r bytes.Buffer
	fmt.Fprintf(&r, "POST /webhooks/meta HTTP/1.1\r\nHost: gateway\r\nUser-Agent: facebookexternalua\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	if signature != "" {
		fmt.Fprintf(&r, "X-Hub-Signature-256: %s\r\n", signature)
	}
	r.WriteString("\r\n")
	r.Write(body)
	return r.Bytes()
}

// benchServer returns the address of a server that decodes and encodes, and does not
// store.
func benchServer(b *testing.B) string {
	b.Helper()
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	server, err := New(testConfig(), &fakePublisher{publish: encodeOnly}, log, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	listener := httptest.NewServer(server)
	b.Cleanup(listener.Close)
	return listener.URL
}

// cpuTime returns the CPU time of this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// forged returns requests that anybody can send.
func forged() map[string][]byte {
	wrong := signatureScheme + strings.Repeat("0", 64)
	body := simulate.Messenger(simulate.Click{Account: "682498171943165", User: "1254459154682919", Title: "Enterprise", Payload: "show_plan:enterprise"})
	large := []byte(`{"object":"page","text":"` + strings.Repeat("é/", 5<<10) + `"}`)
	return map[string][]byte{
		"unsigned":            rawRequest(body, ""),
		"malformed signature": rawRequest(body, "sha256=0"),
		"wrong signature":     rawRequest(body, wrong),
		"unsigned 16K":        rawRequest(large, ""),
		"wrong 16K":           rawRequest(large, wrong),
		"wrong 16K not UTF-8": rawRequest(append([]byte(`"`), bytes.Repeat([]byte("\xff"), 16<<10-1)...), wrong),
		"no such path":        bytes.Replace(rawRequest(body, wrong), []byte("/webhooks/meta"), []byte("/webhooks/none"), 1),
	}
}

// BenchmarkRejection measures the CPU time of a rejected request on a real connection,
// client included.
func BenchmarkRejection(b *testing.B) {
	requests := forged()
	body := []byte(okPostback)
	requests["valid"] = rawRequest(body, signatureOf(testSecret, body))
	for name, request := range requests {
		b.Run(name, func(b *testing.B) {
			client := dialRaw(b, benchServer(b), request)
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := client.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkFlood measures the rate of valid deliveries while 32 clients send forged ones
// as fast as they can.
func BenchmarkFlood(b *testing.B) {
	body := []byte(okPostback)
	for name, request := range forged() {
		b.Run(name, func(b *testing.B) {
			server := benchServer(b)
			var forgers sync.WaitGroup
			stop := make(chan struct{})
			for range 32 {
				client := dialRaw(b, server, request)
				forgers.Go(func() { client.flood(stop) })
			}
			valid := dialRaw(b, server, rawRequest(body, signatureOf(testSecret, body)))
			for b.Loop() {
				if status, err := valid.do(); err != nil || status != "200" {
					b.Fatal(status, err)
				}
			}
			close(stop)
			forgers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "valid/s")
		})
	}
}

func (c *rawClient) flood(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := c.do(); err != nil {
			return
		}
	}
}
