package publish

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/postback-gateway/gateway/publish/monitor"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/stream"
)

// ConfigError is an error that no retry helps against.
type ConfigError = natsconn.ConfigError

// Config is that of a [Publisher].
type Config struct {
	natsconn.Config
	stream.Settings

	// AckTimeout is how long one attempt waits for its acknowledgement; 0: 1s. Publish
	// repeats attempts until its context ends.
	AckTimeout time.Duration
	// DataDir is where an embedded server stores. Nothing is published while its disk is
	// full. Without MaxBytes a new stream gets half of the free space. Empty for servers
	// elsewhere.
	DataDir string
	// Failed, if not nil, returns why the server stores nothing, beyond what it responds.
	Failed func() error
	// Sync, if not nil, makes durable what was written before the call. Deliveries wait for
	// it after the server's acknowledgement; one call serves all that wait. An error is final.
	Sync func() error
	// Check, if not nil, returns an error if what was written before the call is lost
	// although the server has acknowledged it. It must not block, and an error is as final.
	// It is called for each delivery if Sync is nil; a Sync must check this itself.
	Check func() error

	// Tracer makes a span of every Publish, which each message names in the header
	// traceparent; nil for no tracing.
	Tracer trace.Tracer
	// ServerMetrics, if not nil, are updated: the servers are those that consumers read from.
	ServerMetrics *monitor.ServerMetrics
}

const defaultAckTimeout = time.Second

// Prepare fills in defaults and returns what is wrong without asking a server. The error
// shows no value that can hold a credential.
func (c *Config) Prepare() error {
	c.AckTimeout = cmp.Or(c.AckTimeout, defaultAckTimeout)
	if err := cmp.Or(c.Settings.Check(), c.Config.Check()); err != nil {
		return err
	}
	return c.boundByDisk()
}

// boundByDisk leaves half of the disk to other programs, to the dead letters and to the
// server's own files.
func (c *Config) boundByDisk() error {
	if c.MaxBytes != 0 || c.DataDir == "" {
		return nil
	}
	disk, err := monitor.DiskSpace(c.DataDir)
	if err != nil {
		return &ConfigError{Field: "DataDir", Err: err}
	}
	if disk.Size > 0 { // else it is not known; the server rejects a bound that no disk has
		half := disk.Free / 2
		if c.StoreOther {
			half /= 2 // each of the two streams has a quarter
		}
		c.MaxBytes = max(int64(half), stream.MinBytes) // a full disk bounds only a new stream
	}
	return nil
}
