package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
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
	// MaxStore bounds all streams together, in bytes; 0: no bound, see unboundedStore.
	MaxStore int64
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
type Server struct{ ns *server.Server }

// Start runs a server and returns when it serves connections, the store
// recovered. The error says what to do.
func Start(cfg Config, logger *slog.Logger) (*Server, error) {
	if err := cfg.checkAddress(); err != nil {
		return nil, err
	}
	ns, err := server.NewServer(cfg.options())
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	log := &bridge{log: logger}
	ns.SetLoggerV2(log, false, false, false)
	ns.Start()
	s := &Server{ns}
	if err := s.checkStarted(log, cfg); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

func (c *Config) options() *server.Options {
	opts := &server.Options{
		ServerName:        "postback-gateway",
		Host:              c.Host,
		Port:              c.Port,
		DontListen:        c.DontListen,
		Authorization:     c.Token,
		NoSigs:            true, // signals are the gateway's
		MaxPayload:        maxPayload,
		JetStream:         true,
		StoreDir:          c.storeDir(),
		JetStreamMaxStore: c.MaxStore,
		SyncAlways:        c.SyncAlways,
		SyncInterval:      c.SyncInterval,
	}
	if c.MaxStore == 0 {
		opts.JetStreamMaxStore = unboundedStore
	}
	return opts
}

func (c *Config) storeDir() string { return filepath.Join(c.Dir, "nats") }

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

func (s *Server) checkStarted(log *bridge, cfg Config) error {
	if text := log.fatal.Load(); text != nil {
		return fmt.Errorf("the embedded NATS server does not start (%s): check the directory %s (GATEWAY_DATA_DIR)", *text, cfg.storeDir())
	}
	if !s.ns.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("the embedded NATS server does not accept connections after %s: check GATEWAY_EMBEDDED_LISTEN and GATEWAY_DATA_DIR (%s)", readyTimeout, cfg.storeDir())
	}
	if !s.ns.JetStreamEnabled() {
		return errors.New("the embedded NATS server runs without its store: check GATEWAY_DATA_DIR (" + cfg.storeDir() + ")")
	}
	return nil
}

// InProcessConn returns a connection within the process. It needs the token too.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// ClientURL is where consumers connect, without the token; empty with DontListen.
func (s *Server) ClientURL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return s.ns.ClientURL()
}

// Shutdown stops the server and returns when everything is written and closed.
func (s *Server) Shutdown() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}
