package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config is what the server needs to know.
type Config struct {
	// Dir is the data directory, locked with [Lock] by the caller. The store is
	// below <Dir>/nats.
	Dir string
	// Host and Port are where consumers connect (GATEWAY_EMBEDDED_LISTEN). Port -1
	// is any that is free.
	Host string
	Port int
	// DontListen leaves only connections within the process.
	DontListen bool
	// Token is asked of every connection, in the process too; empty: none is.
	Token string
	// SyncAlways has the server sync each message before it acknowledges it.
	SyncAlways bool
	// SyncInterval is how often the server syncs otherwise; 0: its default of 2 minutes.
	SyncInterval time.Duration
}

// unboundedStore is a bound that is never reached. The server's own default is
// three quarters of what is free when it starts, so that a restart with other
// files on the disk could refuse events long before the stream's own limit; the
// stream's limit and the look at the disk are the bounds that count.
const unboundedStore = 1 << 62

// maxPayload is the server's default, 1 MiB, and said here because events are
// cut by it. An event is a few KiB; what is larger is kept as a dead letter. More
// would only let consumers and their client libraries meet messages that NATS
// advises against.
const maxPayload = 1 << 20

// readyTimeout is for opening the listener. The recovery of the store, which can
// take long, is done by then.
const readyTimeout = 10 * time.Second

// Server is a running NATS server. It is a nats.InProcessConnProvider and safe
// for concurrent use.
//
// A server whose store has failed to write takes nothing more, and still answers
// as if it were well: it is started again in its place. Connections to it are
// lost then, and restored like any other.
type Server struct {
	cfg Config
	log *slog.Logger
	mu  sync.Mutex // guards cfg.Token, and keeps a new start and a new token apart

	running atomic.Pointer[server.Server]
	failed  atomic.Pointer[error] // why there is no server that stores; nil while there is one
	stop    context.CancelFunc    // the watcher
	watcher sync.WaitGroup

	presence   *presence
	stopped    atomic.Bool // by Shutdown, with nothing left
	incomplete []string    // directories of streams whose consumers the server does not know yet; of start and the watcher
}

// Start runs a server and returns when it serves connections, the store
// recovered. The error says what to do.
func Start(cfg Config, logger *slog.Logger) (*Server, error) {
	if err := cfg.checkAddress(); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, log: logger, stop: stop}
	s.presence = newPresence(cfg.storeDir(), s.createdStreams)
	if err := s.start(); err != nil {
		stop()
		return nil, err
	}
	if !cfg.DontListen {
		s.cfg.Port = s.running.Load().Addr().(*net.TCPAddr).Port // for the next start
	}
	s.watcher.Go(func() { s.watch(watching) })
	return s, nil
}

func (s *Server) start() (err error) {
	if s.incomplete, err = repairMetadata(s.cfg.storeDir(), s.log); err != nil {
		return fmt.Errorf("embedded NATS server: %w: check the directory %s (GATEWAY_DATA_DIR)", err, s.cfg.storeDir())
	}
	ns, err := server.NewServer(s.cfg.options())
	if err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	log := newBridge(s.log)
	ns.SetLoggerV2(log, false, false, false)
	ns.Start()
	if err := checkStarted(ns, log, &s.cfg); err != nil {
		shutdown(ns)
		return err
	}
	s.running.Store(ns)
	return nil
}

// watchInterval is how often the server is asked how its store is.
const watchInterval = time.Second

// watch starts the server again when its store has failed, as often as it takes.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mend()
		}
	}
}

func (s *Server) mend() {
	if s.CheckStore() != nil {
		return // a new start would make an empty store
	}
	if err := s.health(); err != nil {
		s.restart(slog.LevelError, "the store of the embedded NATS server has failed: it is started again", err)
		return
	}
	s.failed.Store(nil)
	if slices.ContainsFunc(s.incomplete, hasSettings) {
		s.restart(slog.LevelWarn, "a stream has been created again: the embedded NATS server is started again, to recover its consumers",
			errors.New("the embedded NATS server starts again"))
	}
}

// hasSettings reports whether the settings of the stream in dir are there again. The
// server writes the checksum last.
func hasSettings(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, server.JetStreamMetaFileSum))
	return err == nil
}

// restart starts the server again in its place.
func (s *Server) restart(level slog.Level, text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed.Store(&err)
	s.log.LogAttrs(context.Background(), level, text, slog.Any("reason", err))
	shutdown(s.running.Load())
	err = s.flush()
	if checkErr := s.CheckStore(); checkErr != nil {
		return // replaced meanwhile: a new start would make an empty store
	}
	if err := errors.Join(err, s.start()); err != nil {
		s.failed.Store(&err)
		s.log.Error("the embedded NATS server does not start again; trying further", slog.Any("error", err))
		return
	}
	s.failed.Store(nil)
	s.log.Info("the embedded NATS server is up again")
}

// flush makes durable what the failed server has written: with SyncAlways the next
// one would answer to it as to a duplicate, without a sync.
func (s *Server) flush() error {
	sync, err := OpenSync(s.cfg.Dir)
	if err != nil {
		return nil // not possible here, which the start of the gateway has said
	}
	return errors.Join(sync.Sync(), sync.Close())
}

// health returns the error after which the server stores nothing more. It knows
// other troubles, such as a stream that is being deleted, that a new start would
// not mend.
func (s *Server) health() error {
	ns := s.running.Load()
	if !ns.JetStreamEnabled() {
		return errors.New("JetStream has shut itself down") // no space, no permission
	}
	for _, e := range ns.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(e.Error, "write error:") {
			return errors.New(e.Error)
		}
	}
	return nil
}

// SetToken has the server ask for another token. Every connection that was made with
// the old one is closed, those within the process too. An empty one asks for none any
// more. With an error the old one stays in force.
func (s *Server) SetToken(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.cfg
	cfg.Token = token
	// A server that has failed gets it with its next start.
	if s.Failed() == nil {
		if err := s.running.Load().ReloadOptions(cfg.options()); err != nil {
			return fmt.Errorf("the embedded NATS server does not take another token: %w", err)
		}
	}
	s.cfg.Token = token
	return nil
}

// Failed returns why the server stores nothing at the moment; nil where that is
// not known.
func (s *Server) Failed() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *Config) options() *server.Options {
	return &server.Options{
		ServerName:        "postback-gateway",
		Host:              c.Host,
		Port:              c.Port,
		DontListen:        c.DontListen,
		Authorization:     c.Token,
		NoSigs:            true, // signals are the gateway's
		MaxPayload:        maxPayload,
		JetStream:         true,
		StoreDir:          c.storeDir(),
		JetStreamMaxStore: unboundedStore,
		SyncAlways:        c.SyncAlways,
		SyncInterval:      c.SyncInterval,
	}
}

func (c *Config) storeDir() string { return StoreDir(c.Dir) }

// StoreDir is where the server keeps its files, below [Config].Dir.
func StoreDir(dir string) string { return filepath.Join(dir, "nats") }

// checkAddress binds the port for a moment, for a message that the server's own
// start would not give.
func (c *Config) checkAddress() error {
	if c.DontListen {
		return nil
	}
	address := net.JoinHostPort(c.Host, strconv.Itoa(max(c.Port, 0)))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("GATEWAY_EMBEDDED_LISTEN: the embedded NATS server cannot listen on %s (%w): "+
			"stop what listens there, choose another address, or set it to off", address, err)
	}
	return l.Close()
}

func checkStarted(ns *server.Server, log *bridge, cfg *Config) error {
	if text := log.fatal.Load(); text != nil {
		return fmt.Errorf("the embedded NATS server does not start (%s): check the directory %s (GATEWAY_DATA_DIR)", *text, cfg.storeDir())
	}
	if !ns.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("the embedded NATS server does not accept connections after %s: check GATEWAY_EMBEDDED_LISTEN and GATEWAY_DATA_DIR (%s)", readyTimeout, cfg.storeDir())
	}
	if !ns.JetStreamEnabled() {
		return errors.New("the embedded NATS server runs without its store: check GATEWAY_DATA_DIR (" + cfg.storeDir() + ")")
	}
	return nil
}

// InProcessConn returns a connection within the process. It needs the token too.
func (s *Server) InProcessConn() (net.Conn, error) { return s.running.Load().InProcessConn() }

// ClientURL is where consumers connect, without the token; empty with DontListen.
func (s *Server) ClientURL() string {
	if s.cfg.DontListen {
		return ""
	}
	return s.running.Load().ClientURL()
}

// stopTime is how long Shutdown waits. The server stops consumers one after the
// other and sleeps 10 ms for each, so a thousand of them would take longer than the 10
// seconds that a container is given.
const stopTime = 4 * time.Second

// Shutdown stops the server and returns when everything is written and closed, or
// after stopTime. Then consumers may get again what they acknowledged in the last tenth
// of a second, and the next start reads every message once, as after a crash. No message
// is lost.
func (s *Server) Shutdown() {
	s.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watcher.Wait()
		shutdown(s.running.Load())
	}()
	select {
	case <-done:
		s.stopped.Store(true)
	case <-time.After(stopTime):
		s.log.Warn("the embedded NATS server has not stopped in time, as with very many consumers: ending without waiting for it; "+
			"consumers may receive their last events again", slog.String("waited", stopTime.String()))
	}
	s.presence.close()
}

// Stopped reports whether Shutdown has stopped everything. Until then, and that can be
// the end of the process, the data directory has to stay locked.
func (s *Server) Stopped() bool { return s.stopped.Load() }

func shutdown(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}
