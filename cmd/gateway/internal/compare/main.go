//go:build linux

package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The load runs on the first thread, and children are started from it: they end when
// the thread that started them does.
func init() { runtime.LockOSThread() }

func main() {
	args := os.Args[1:]
	var err error
	if len(args) > 0 && roles[args[0]] != nil {
		err = roles[args[0]](args[1:]) // a signal ends it
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// roles are what this program is beside the comparison.
var roles = map[string]func(args []string) error{"bare": serveBare, "nats": serveNATS}

// options are the flags; the Makefile says what they are for.
type options struct {
	builds
	scenarios, dir, docs string
	short                bool
	rounds               int
	turn                 time.Duration
}

func parseOptions(args []string) *options {
	o := &options{}
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	flags.StringVar(&o.gateway, "gateway", "bin/gateway", "`path` of the gateway")
	flags.StringVar(&o.base, "base", "", "`path` of another gateway to compare it with, instead of its rivals")
	env := flags.String("env", "", "further `settings` of the gateway, such as \"GOGC=400 GATEWAY_LOG_LEVEL=warn\"")
	baseEnv := flags.String("base-env", "", "the same of the base")
	flags.StringVar(&o.scenarios, "scenarios", "", "`names` of scenarios, separated by commas; empty: all, with a base all but growth")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "`directory` of the stores; it has to be on a disk")
	flags.StringVar(&o.docs, "docs", "", "`directory` in which benchmarks.md and img/ are written; empty: none")
	flags.BoolVar(&o.short, "short", false, "a few short turns: to see that everything works, not to measure")
	flags.IntVar(&o.rounds, "rounds", 0, "`number` of rounds; 0: 16, with a base 40, with -short 3")
	flags.DurationVar(&o.turn, "turn", 0, "`duration` of a turn; 0: 500ms, with -short 150ms")
	_ = flags.Parse(args)
	o.gatewayEnv, o.baseEnv = strings.Fields(*env), strings.Fields(*baseEnv)
	o.setDefaults()
	return o
}

// usualTurn is that of a run that is not short.
const usualTurn = 500 * time.Millisecond

// setDefaults chooses more rounds between two gateways than beside rivals: less is
// between them.
func (o *options) setDefaults() {
	rounds, turn := 16, usualTurn
	switch {
	case o.short:
		rounds, turn = 3, 150*time.Millisecond
		o.scenarios = cmp.Or(o.scenarios, smoke)
	case o.base != "":
		rounds = 40
	}
	o.rounds, o.turn = cmp.Or(o.rounds, rounds), cmp.Or(o.turn, turn)
}

func run(ctx context.Context, args []string) error {
	o := parseOptions(args)
	chosen, err := choose(scenarios(o.short), o.scenarios)
	if err != nil {
		return err
	}
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer os.RemoveAll(l.dir)
	where := l.describe(ctx)
	fmt.Println(where)
	for i := range chosen {
		s := &chosen[i]
		if o.base != "" && s.axis != "" && o.scenarios == "" {
			continue
		}
		if reason := l.missing(ctx, s); reason != "" {
			fmt.Printf("\n## %s (%s)\n\nNOT MEASURED: %s\n", s.title, s.name, reason)
			continue
		}
		start := time.Now()
		r, err := l.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
		fmt.Printf("\n## %s (%s)\n\n%s\n%s\n", s.title, s.name, r.table(), time.Since(start).Round(time.Second))
		if o.docs != "" {
			if err := r.write(o.docs, where); err != nil {
				return err
			}
		}
	}
	return nil
}

// newLab prepares a directory for the stores.
func newLab(o *options) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, path := range []*string{&o.gateway, &o.base} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(*path); err != nil {
			return nil, fmt.Errorf("%w: build it with make build", err)
		}
	}
	dir, err := os.MkdirTemp(o.dir, "postback-compare-")
	if err != nil {
		return nil, err
	}
	if err := checkDisk(dir); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &lab{self: self, dir: dir, builds: o.builds, rounds: o.rounds, turn: o.turn}, nil
}

// checkDisk refuses a filesystem in memory: a sync costs nothing there.
func checkDisk(dir string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return err
	}
	if stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is in memory: set DIR to a directory on a disk", dir)
	}
	return nil
}

// measurement is a scenario with its results.
type measurement struct {
	scenario *scenario
	groups   [][]*result // one, or with an axis one for each shape
	rounds   int
	turn     time.Duration
}

// growthPart and overloadPart are how many rounds there are of the usual number.
const (
	growthPart   = 4
	overloadPart = 6
)

func (l *lab) measure(ctx context.Context, s *scenario) (*measurement, error) {
	m := &measurement{scenario: s, rounds: l.rounds, turn: l.turn}
	if s.turn > 0 {
		m.turn, m.rounds = s.turn*l.turn/usualTurn, max(2, l.rounds/overloadPart)
	}
	parts := [][]shape{s.shapes}
	if s.axis != "" {
		m.rounds, parts = max(2, l.rounds/growthPart), nil
		for _, one := range s.shapes {
			parts = append(parts, []shape{one})
		}
	}
	for _, part := range parts {
		results, err := l.compare(ctx, s.seats(&l.builds, part), m.turn, m.rounds)
		if err != nil {
			return nil, err
		}
		m.groups = append(m.groups, results)
	}
	return m, nil
}
