package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces with OTLP over HTTP, as a real one would, and keeps them.
type collector struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	refuse   bool // the spans of each request
	requests []*http.Request
	bodies   bytes.Buffer // all of them, as they came
	taken    []span
}

// span is a span with what stands beside it.
type span struct {
	*tracepb.Span
	service map[string]string // the resource's attributes
}

// startCollector listens on a free port.
func startCollector(t testing.TB) *collector {
	t.Helper()
	return startCollectorOn(t, "127.0.0.1:0")
}

func startCollectorOn(t testing.TB, address string) *collector {
	t.Helper()
	c := &collector{t: t}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.server = httptest.NewUnstartedServer(c)
	c.server.Listener.Close()
	c.server.Listener = listener
	c.server.Start()
	t.Cleanup(c.server.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		c.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if c.refuse {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.bodies.Write(body)
	for _, from := range request.ResourceSpans {
		for _, scope := range from.ScopeSpans {
			for _, s := range scope.Spans {
				c.taken = append(c.taken, span{s, attributes(from.Resource.Attributes)})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty answer: all were taken
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	all := make(map[string]string, len(list))
	for _, a := range list {
		text := a.Value.GetStringValue()
		if n, isInt := a.Value.Value.(*commonpb.AnyValue_IntValue); isInt {
			text = strconv.FormatInt(n.IntValue, 10)
		}
		all[a.Key] = text
	}
	return all
}

// refuses says whether requests are answered 500 from now on.
func (c *collector) refuses(refuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = refuse
}

func (c *collector) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

func (c *collector) spans() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taken)
}

// await returns when n spans have come.
func (c *collector) await(n int) []span {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d spans", n), func() bool { return len(c.spans()) >= n })
	return c.spans()
}

// only returns the one span of a kind.
func only(t testing.TB, spans []span, kind tracepb.Span_SpanKind) span {
	t.Helper()
	var found []span
	for _, s := range spans {
		if s.Kind == kind {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans of kind %v, expected 1: %v", len(found), kind, spans)
	}
	return found[0]
}

// parent is the header that names the span.
func (s span) parent() string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-" + fmt.Sprintf("%02x", s.Flags&0xff)
}
