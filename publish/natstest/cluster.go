package natstest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is a JetStream cluster of server processes on the loopback.
type Cluster struct {
	Servers []*Server
	t       testing.TB
}

// ClusterOptions are what tests want otherwise than a cluster's defaults.
type ClusterOptions struct {
	// SyncInterval is the servers' sync_interval, such as always; empty: their default.
	SyncInterval string
	// Lines are further lines of every server's configuration.
	Lines string
	// Away is how many of the servers, the last ones, do not run yet, and are not known to
	// the others.
	Away int
}

// StartCluster starts n servers and returns when they can create streams. They do
// not tell clients of each other, so that a test can put a [Proxy] before each.
func StartCluster(t testing.TB, n int, o ClusterOptions) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports, routes := make([]int, n), make([]string, n)
	for i := range n {
		ports[i] = FreePort(t)
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	jetStream := ""
	if o.SyncInterval != "" {
		jetStream = ", sync_interval: " + o.SyncInterval
	}
	for i := range n {
		c.Servers = append(c.Servers, newServer(t, FreePort(t), jetStream, fmt.Sprintf(
			"server_name: n%d\ncluster { name: c, no_advertise: true, listen: \"127.0.0.1:%d\", routes: [ %s ] }\n%s",
			i, ports[i], strings.Join(routes[:n-o.Away], ", "), o.Lines)))
	}
	c.start(c.Servers[:n-o.Away])
	return c
}

// URL names all servers, comma-separated.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Start starts the servers that do not run and returns when the cluster serves
// JetStream.
func (c *Cluster) Start() {
	c.t.Helper()
	c.start(c.Servers)
}

func (c *Cluster) start(servers []*Server) {
	c.t.Helper()
	for _, s := range servers {
		if s.cmd == nil {
			s.Start()
		}
	}
	c.ask("a cluster with a leader", func(ctx context.Context, js jetstream.JetStream) bool {
		_, err := js.AccountInfo(ctx)
		return err == nil
	})
}

// Kill kills all servers.
func (c *Cluster) Kill() {
	for _, s := range c.Servers {
		s.Kill()
	}
}

// Leader returns the server that leads the stream now; it waits for one.
func (c *Cluster) Leader(stream string) *Server {
	c.t.Helper()
	var leader *Server
	c.ask("a leader of "+stream, func(ctx context.Context, js jetstream.JetStream) bool {
		leader = c.leader(ctx, js, stream)
		return leader != nil
	})
	return leader
}

// Followers returns the servers that run and do not lead the stream.
func (c *Cluster) Followers(stream string) []*Server {
	c.t.Helper()
	leader := c.Leader(stream)
	var others []*Server
	for _, s := range c.Servers {
		if s != leader && s.cmd != nil {
			others = append(others, s)
		}
	}
	return others
}

// WaitCurrent returns when every replica of the stream is up to date.
func (c *Cluster) WaitCurrent(stream string) {
	c.t.Helper()
	c.ask("replicas of "+stream+" that are current", func(ctx context.Context, js jetstream.JetStream) bool {
		s, err := js.Stream(ctx, stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		replicas := s.CachedInfo().Cluster.Replicas
		for _, r := range replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		return len(replicas) == len(c.Servers)-1
	})
}

func (c *Cluster) leader(ctx context.Context, js jetstream.JetStream, stream string) *Server {
	s, err := js.Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return nil
	}
	for i, server := range c.Servers {
		if s.CachedInfo().Cluster.Leader == fmt.Sprintf("n%d", i) && server.cmd != nil {
			return server
		}
	}
	return nil
}

// ask repeats a question to the servers until the answer is yes.
func (c *Cluster) ask(what string, yes func(context.Context, jetstream.JetStream) bool) {
	c.t.Helper()
	nc, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	Eventually(c.t, what, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return yes(ctx, js)
	})
}
