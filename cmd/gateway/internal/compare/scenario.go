//go:build linux

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// shape describes a load.
type shape struct {
	name        string // where a scenario has several
	events      int    // of a delivery; 0: 1
	connections int
	subjects    int     // 0: 1
	rate        float64 // deliveries a second; 0: a closed loop
	times       float64 // a rate relative to the maximum of the first seat; what cannot be sent is dropped
	stored      int     // events stored in advance
	old         bool    // and so long before that only the gateway remembers their ids
	x           float64 // in the plot of growth
}

// scenario is one comparison.
type scenario struct {
	name, title string
	gateway     contestant
	rivals      []contestant
	// One shape is that of all contestants. With several shapes the gateway is
	// compared with itself under the first one. With an axis each shape is a
	// separate comparison of all contestants.
	shapes []shape
	axis   string
	turn   time.Duration // 0: that of the run
}

// single is the usual load: single events, 64 connections, as fast as it goes.
var single = []shape{{connections: 64}}

func bareWith(sync string) contestant {
	return contestant{kind: kindBare, name: "bare handler", sync: sync}
}

func gatewayWith(sync string) contestant {
	return contestant{kind: kindGateway, name: "gateway", sync: sync}
}

func separately(c contestant) contestant {
	c.separate = true
	return c
}

// fastify runs one process, or several with the cluster module of Node.
func fastify(sync string, workers int) contestant {
	name := "Fastify"
	if workers > 1 {
		name = fmt.Sprintf("Fastify, %d processes", workers)
	}
	return contestant{kind: kindFastify, name: name, sync: sync, separate: true, workers: workers}
}

// embedded is a comparison with the bare handler and its NATS server.
func embedded(name, title, sync string, s shape) scenario {
	return scenario{name: name, title: title, gateway: gatewayWith(sync), rivals: []contestant{bareWith(sync)}, shapes: []shape{s}}
}

// separate is one with a NATS server in a process of its own.
func separate(name, title string, s shape) scenario {
	return scenario{name: name, title: title, gateway: separately(gatewayWith("")), rivals: []contestant{separately(bareWith(""))}, shapes: []shape{s}}
}

// scenarios are all comparisons, in the order in which they run.
func scenarios(short bool) []scenario {
	million := 1_000_000
	if short {
		million = 20_000
	}
	processes := max(2, runtime.NumCPU())
	return []scenario{
		embedded("interval", "Single events, GATEWAY_SYNC=interval", syncInterval, single[0]),
		embedded("group", "Single events, GATEWAY_SYNC=group", syncGroup, single[0]),
		embedded("always", "Single events, GATEWAY_SYNC=always", syncAlways, single[0]),
		embedded("always-1", "Single events, GATEWAY_SYNC=always, one connection", syncAlways, shape{connections: 1}),
		waysToSync("sync", "The ways to sync, 64 connections", 64),
		waysToSync("sync-1", "The ways to sync, one connection", 1),
		embedded("batch", "20 events per delivery, GATEWAY_SYNC=interval", syncInterval, shape{connections: 64, events: 20}),
		separate("separate", "Single events, a separate nats-server", single[0]),
		separate("separate-3000", "3,000 deliveries/s, a separate nats-server", shape{connections: 64, rate: 3000}),
		embedded("steady-interval", "1,500 deliveries/s, GATEWAY_SYNC=interval", syncInterval, shape{connections: 64, rate: 1500}),
		embedded("steady-group", "1,500 deliveries/s, GATEWAY_SYNC=group", syncGroup, shape{connections: 64, rate: 1500}),
		overload("overload-interval", syncInterval),
		overload("overload-group", syncGroup),
		{
			name: "million", title: fmt.Sprintf("%s ids in the deduplication window, GATEWAY_SYNC=interval", thousands(float64(million))), gateway: gatewayWith(syncInterval),
			shapes: []shape{{name: "an empty window", connections: 64}, {name: thousands(float64(million)) + " ids", connections: 64, stored: million, old: true}},
		},
		{
			name: "fastify", title: "Fastify with sync_interval: always, GATEWAY_SYNC=group", gateway: gatewayWith(syncGroup),
			rivals: []contestant{fastify(syncAlways, 1), fastify(syncAlways, processes)}, shapes: single,
		},
		{
			name: "fastify-default", title: "Fastify with the default sync, GATEWAY_SYNC=interval", gateway: gatewayWith(syncInterval),
			rivals: []contestant{fastify("", 1), fastify("", processes)}, shapes: single,
		},
		growth("growth-events", "Events per delivery", []int{1, 10, 100, 1000}, func(n int) shape { return shape{connections: 16, events: n} }),
		growth("growth-connections", "Connections", []int{1, 8, 64, 512, 5000}, func(n int) shape { return shape{connections: n} }),
		growth("growth-subjects", "Subjects", []int{10, 1000, 100_000}, func(n int) shape { return shape{connections: 64, subjects: n, stored: min(n, million)} }),
		growth("growth-stored", "Events stored", []int{0, million / 2, 2 * million}, func(n int) shape { return shape{connections: 64, stored: n} }),
	}
}

// waysToSync compares the gateway with itself under another GATEWAY_SYNC.
func waysToSync(name, title string, connections int) scenario {
	with := func(sync string) contestant {
		c := gatewayWith(sync)
		c.name = sync
		return c
	}
	return scenario{
		name: name, title: title, gateway: with(syncGroup), rivals: []contestant{with(syncAlways), with(syncInterval)},
		shapes: []shape{{connections: connections}},
	}
}

// overload compares the gateway with itself at its best.
func overload(name, sync string) scenario {
	return scenario{
		name: name, title: "Overload, GATEWAY_SYNC=" + sync, gateway: gatewayWith(sync), turn: 3 * time.Second,
		shapes: []shape{
			{name: "256 connections", connections: 256},
			{name: "2,000 connections", connections: 2000},
			{name: "2,000 connections, 2 × the rate", connections: 2000, times: 2},
			{name: "5,000 connections, 4 × the rate", connections: 5000, times: 4},
		},
	}
}

func growth(name, axis string, values []int, at func(int) shape) scenario {
	s := scenario{
		name: name, title: axis + ", GATEWAY_SYNC=interval", axis: axis,
		gateway: gatewayWith(syncInterval), rivals: []contestant{bareWith(syncInterval)},
	}
	for _, n := range values {
		one := at(n)
		one.x, one.name = float64(n), fmt.Sprint(n)
		s.shapes = append(s.shapes, one)
	}
	return s
}

// smoke are the scenarios of a short run: one of each sort.
const smoke = "interval,group,always,batch,separate-3000,overload-group,million,fastify,growth-events"

// choose returns the scenarios with the names, in their own order; all without names.
func choose(all []scenario, names string) ([]scenario, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var known []string
	for _, s := range all {
		known = append(known, s.name)
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no scenario %q: expected some of %s", name, strings.Join(known, ","))
		}
	}
	return slices.DeleteFunc(all, func(s scenario) bool { return !slices.Contains(wanted, s.name) }), nil
}

// seat is a contestant under a load. The same contestant can have two.
type seat struct {
	contestant
	shape shape
}

// builds are the binaries to compare. Without a base the gateway is compared with its rivals.
type builds struct {
	gateway, base       string
	gatewayEnv, baseEnv []string
}

func (b *builds) of(c contestant) contestant {
	c.binary, c.env = b.gateway, b.gatewayEnv
	return c
}

func (b *builds) baseOf(c contestant) contestant {
	c.name, c.binary, c.env = "base", b.base, b.baseEnv
	return c
}

// seats returns the seats of a comparison under the shapes. The first is the
// reference. The gateway or the base has a second seat, to show the noise.
func (s *scenario) seats(b *builds, shapes []shape) (seats []seat) {
	sit := func(c contestant, name string, shape shape) {
		c.name = cmp.Or(name, c.name)
		seats = append(seats, seat{c, shape})
	}
	gateway, base := b.of(s.gateway), b.baseOf(s.gateway)
	for _, shape := range shapes {
		if len(shapes) > 1 {
			if b.base != "" {
				sit(base, "base, "+shape.name, shape)
			}
			sit(gateway, "gateway, "+shape.name, shape)
			continue
		}
		if b.base != "" {
			sit(base, "", shape)
			if s.axis == "" {
				sit(base, "base again", shape)
			}
			sit(gateway, "", shape)
			continue
		}
		for _, rival := range s.rivals {
			if rival.kind == kindGateway {
				rival = b.of(rival)
			}
			sit(rival, "", shape)
		}
		sit(gateway, "", shape)
		if s.axis == "" {
			sit(gateway, gateway.name+" again", shape)
		}
	}
	return seats
}
