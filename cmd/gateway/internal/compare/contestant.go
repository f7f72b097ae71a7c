//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// kind is the program of a contestant.
type kind string

const (
	kindGateway kind = "gateway"
	kindBare    kind = "bare"
	kindFastify kind = "fastify"
)

// contestant is one program with its configuration.
type contestant struct {
	kind     kind
	name     string // in tables
	sync     string // of its own NATS server, or always for a separate one
	separate bool   // its NATS server is a process of its own
	workers  int    // processes of Node

	binary string   // of a gateway
	env    []string // further settings of a gateway
}

// service is a running contestant.
type service struct {
	process *process
	server  *process // the separate NATS server; nil without one
	webhook netip.AddrPort
	metrics string // URL; empty where there are none
	nats    string // URL where the events are read
	stream  string
}

// start runs a contestant with its store below dir and returns when it accepts deliveries.
func (c *contestant) start(ctx context.Context, lab *lab, dir string) (s *service, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s = &service{}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	var webhook, admin, natsAddress string
	for _, address := range []*string{&webhook, &admin, &natsAddress} {
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	s.webhook, s.nats = netip.MustParseAddrPort(webhook), "nats://"+natsAddress
	if c.separate {
		if err := s.startServer(ctx, lab, c, natsAddress, dir); err != nil {
			return s, err
		}
	}
	var run command
	switch c.kind {
	case kindGateway:
		run = c.gateway(webhook, admin, natsAddress)
		s.stream, s.metrics = "POSTBACKS", "http://"+admin+"/metrics"
	case kindBare:
		run = c.bare(lab, webhook, admin, natsAddress)
		s.stream, s.metrics = bareStream, "http://"+admin+"/metrics"
	case kindFastify:
		run, s.stream = c.fastify(lab, webhook, s.nats), bareStream
	}
	run.name, run.dir = c.name, dir
	if s.process, err = run.start(); err != nil {
		return s, err
	}
	return s, s.process.await(ctx, "does not accept deliveries", func() bool { return s.isReady(c, admin) })
}

// startServer runs the separate NATS server, and creates the stream where the contestant does not.
func (s *service) startServer(ctx context.Context, lab *lab, c *contestant, address, dir string) (err error) {
	s.server, err = command{
		name: "nats-server", dir: dir, path: lab.self,
		args: []string{"nats", "-listen", address, "-dir", filepath.Join(dir, "nats"), "-sync", c.sync},
	}.start()
	if err != nil {
		return err
	}
	if err := s.server.await(ctx, "does not listen", func() bool { return accepts(address) }); err != nil {
		return err
	}
	if c.kind == kindGateway {
		return nil
	}
	nc, err := nats.Connect(s.nats)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return createBareStream(js)
}

func (s *service) isReady(c *contestant, admin string) bool {
	if c.kind != kindGateway {
		return accepts(s.webhook.String())
	}
	response, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func (s *service) stop() {
	for _, p := range []*process{s.process, s.server} {
		if p != nil {
			p.stop()
		}
	}
}

func (c *contestant) gateway(webhook, admin, natsAddress string) command {
	env := []string{
		"GATEWAY_LISTEN=" + webhook, "GATEWAY_ADMIN_LISTEN=" + admin, "GATEWAY_LOG_LEVEL=info",
		"GATEWAY_META_APP_SECRETS=" + appSecret, "GATEWAY_META_VERIFY_TOKEN=verify",
	}
	if c.separate {
		env = append(env, "GATEWAY_NATS_URL=nats://"+natsAddress)
	} else {
		env = append(env, "GATEWAY_SYNC="+c.sync, "GATEWAY_EMBEDDED_LISTEN="+natsAddress)
	}
	return command{path: c.binary, env: append(env, c.env...)}
}

func (c *contestant) bare(lab *lab, webhook, admin, natsAddress string) command {
	args := []string{"bare", "-listen", webhook, "-admin", admin}
	if c.separate {
		args = append(args, "-nats", "nats://"+natsAddress)
	} else {
		args = append(args, "-nats-listen", natsAddress, "-sync", c.sync, "-dir", ".")
	}
	return command{path: lab.self, args: args}
}

func (c *contestant) fastify(lab *lab, webhook, url string) command {
	host, port, _ := strings.Cut(webhook, ":")
	return command{
		path: "node", args: []string{filepath.Join(lab.fastify, "server.js")},
		env: []string{
			"NODE_ENV=production", "NATS_URL=" + url, "APP_SECRET=" + appSecret,
			"HOST=" + host, "PORT=" + port, fmt.Sprint("WORKERS=", c.workers),
		},
	}
}

// memory holds the allocations of a Go process since it started.
type memory struct{ mallocs, bytes float64 }

// memory reads the metrics of the process; zeros where it has none.
func (s *service) memory(ctx context.Context) (m memory, err error) {
	if s.metrics == "" {
		return memory{}, nil
	}
	text, err := get(ctx, s.metrics)
	if err != nil {
		return memory{}, err
	}
	if m.mallocs, err = metric(text, "go_memstats_mallocs_total"); err != nil {
		return memory{}, err
	}
	m.bytes, err = metric(text, "go_memstats_alloc_bytes_total")
	return m, err
}

// usage is the CPU time that a service and the load have used since they started.
type usage struct{ process, server, load time.Duration }

func (u usage) minus(v usage) usage {
	return usage{u.process - v.process, u.server - v.server, u.load - v.load}
}

func (s *service) usage() (u usage, err error) {
	if u.load, err = cpuTime(os.Getpid()); err != nil {
		return u, err
	}
	if u.process, err = s.process.cpu(); err != nil || s.server == nil {
		return u, err
	}
	u.server, err = s.server.cpu()
	return u, err
}
