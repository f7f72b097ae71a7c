package console

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/doctor"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish/analytics"
	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/replay"
	"github.com/postback-gateway/gateway/schema"
)

// Config is what the console needs of the gateway. All fields are required unless they
// say otherwise.
type Config struct {
	Version string
	Log     *slog.Logger
	// Metrics are the gateway's own: the page shows some of them.
	Metrics prometheus.Gatherer
	// Ready returns why no event can be stored now, or nil.
	Ready func(context.Context) error
	// Activity is what the webhooks have received, and Report what the doctor finds.
	Activity func() ingest.Activity
	Report   func(context.Context) doctor.Report
	// Consumers watches the streams that consumers read.
	Consumers *monitor.Monitor

	Subjects schema.Subjects // of the events
	Stream   string
	Webhook  string // base URL of the public listener
	NATS     string // URL for consumers; may be empty
	// VerifyToken says where the verify token is, not what it is.
	VerifyToken string
	// Bots are the configured Telegram bots.
	Bots func() []string
	// Post delivers a request to the gateway's own webhook.
	Post http.Handler
	// Replay replays dead letters, and events to a consumer.
	Replay *replay.Gateway
	// Secret returns what a delivery of a platform is signed with. account is the
	// Telegram bot. The error says what to configure.
	Secret func(platform, account string) (string, error)
}

// Console is the handler of the page and its API. It is safe for concurrent use.
type Console struct {
	Config
	ring    *Ring
	mux     *http.ServeMux
	reports reports
	scans   *scans
	series  analytics.Series
	streams atomic.Int32 // pages that are connected

	background sync.WaitGroup
	ctx        context.Context
	stop       context.CancelFunc
}

//go:embed page
var files embed.FS

// New returns the console that shows the deliveries of a ring. The caller closes it.
func New(ring *Ring, cfg Config) *Console {
	c := &Console{Config: cfg, ring: ring, mux: http.NewServeMux(), scans: newScans()}
	c.reports.make, c.series.Keep = cfg.Report, keepCounts
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.routes()
	return c
}

func (c *Console) routes() {
	c.mux.Handle("GET /{$}", Assets())
	c.mux.HandleFunc("GET /api/page", c.status)
	c.mux.HandleFunc("GET /api/deliveries/live", c.live)
	c.mux.HandleFunc("GET /api/deliveries/{seq}", c.detail)
	c.mux.HandleFunc("POST /api/deliveries/{seq}/reveal", action(c.reveal))
	c.mux.HandleFunc("POST /api/person", action(c.person))
	c.mux.HandleFunc("POST /api/try/preview", action(c.preview))
	c.mux.HandleFunc("POST /api/try/send", action(c.send))
	c.mux.HandleFunc("GET /api/deliveries/keep", c.keep)
	c.mux.HandleFunc("GET /api/deliveries/{seq}/receivers", c.deliveryReceivers)
	c.mux.HandleFunc("GET /api/receivers", c.subjectReceivers)
	c.mux.HandleFunc("GET /api/consumers", c.consumerList)
	c.mux.HandleFunc("GET /api/clicks", c.clickCounts)
	c.mux.HandleFunc("POST /api/clicks/titles", action(c.titles))
	c.mux.HandleFunc("GET /api/funnel", c.funnel)
	c.fixRoutes()
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}

// Assets serves the files of the page, compressed. They contain nothing about the gateway.
func Assets() http.Handler { return gzhttp.GzipHandler(http.FileServerFS(page())) }

// Login returns the page that asks for the token.
func Login() []byte {
	text, err := fs.ReadFile(page(), "login.html")
	if err != nil {
		panic(err) // the file is embedded
	}
	return text
}

func page() fs.FS {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return page
}

const (
	// maxActionBody is the largest body of an action, in bytes.
	maxActionBody = 64 << 10
	// readTimeout bounds what a request of the page asks the rest of the gateway for.
	readTimeout = 2 * time.Second
)

// action accepts only what the page itself sends: no form and no link can set the header.
func action(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Gateway-Action") == "":
			fail(w, http.StatusForbidden, "expected the header X-Gateway-Action")
		case r.Header.Get("Content-Type") != "application/json":
			fail(w, http.StatusUnsupportedMediaType, "expected Content-Type: application/json")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxActionBody)
			next(w, r)
		}
	}
}

// respond writes v as JSON.
func respond(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error means that the browser hung up
}

func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": detail})
}

// decode reads the body of an action. If it cannot, it answers the request.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(r.Body).Decode(v)
	if err != nil {
		fail(w, http.StatusBadRequest, "the body is not what this action expects: "+err.Error())
	}
	return err == nil
}
