//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a contestant, or a server that belongs to one.
type process struct {
	name  string
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
	err   error // valid when ended is closed
}

// command says how to start a process.
type command struct {
	name string
	dir  string
	path string
	args []string
	env  []string // beside PATH
}

func (c command) start() (*process, error) {
	p := &process{name: c.name, cmd: exec.Command(c.path, c.args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = c.dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, c.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, outputSize) // a smaller one works, too
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.name, err), r.Close())
	}
	go p.out.drain(r)
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

const (
	outputSize  = 1 << 20
	outputPause = 20 * time.Millisecond
)

// output reads what a process writes, such as the log line of each delivery. It reads
// every 20 ms rather than line by line, because it shares the processors with the
// contestants.
type output struct {
	mu  sync.Mutex
	end []byte // the last of it
}

func (o *output) drain(r io.ReadCloser) {
	defer r.Close()
	buffer := make([]byte, outputSize)
	for {
		n, err := r.Read(buffer)
		o.mu.Lock()
		o.end = append(o.end, buffer[max(0, n-outputKept):n]...)
		o.end = o.end[max(0, len(o.end)-outputKept):]
		o.mu.Unlock()
		if err != nil {
			return
		}
		time.Sleep(outputPause)
	}
}

const outputKept = 4 << 10

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.TrimSpace(o.end))
}

// await polls until ready returns true. The error has the last output of the process.
func (p *process) await(ctx context.Context, what string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, p.out.String())
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w\n%s", p.name, what, ctx.Err(), p.out.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// stop sends SIGTERM, and SIGKILL where the process has not ended after stopTimeout.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// cpu returns the user and system time of the process and its children so far, by
// their clocks (clock_getcpuclockid(3)): /proc/<pid>/stat counts in hundredths of a
// second, which is coarse for a turn.
func (p *process) cpu() (time.Duration, error) {
	var total time.Duration
	for _, pid := range append(children(p.cmd.Process.Pid), p.cmd.Process.Pid) {
		used, err := cpuTime(pid)
		if err != nil {
			return 0, fmt.Errorf("%s: %w\n%s", p.name, err, p.out.String())
		}
		total += used
	}
	return total, nil
}

// cpuTime returns the user and system time of one process.
func cpuTime(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED: the exact one
	clock := int32(^pid)<<3 | scheduler
	var used unix.Timespec
	if err := unix.ClockGettime(clock, &used); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// children returns the processes that a process has started from its first thread,
// as the cluster module of Node does.
func children(pid int) (pids []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// peak returns the most memory that the process and its children have had so far, in MB.
func (p *process) peak() (total float64) {
	for _, pid := range append(children(p.cmd.Process.Pid), p.cmd.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0
		}
		_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
		var kib float64
		_, _ = fmt.Sscan(rest, &kib)
		total += kib * 1024 / 1e6
	}
	return total
}

// freeAddress returns an address of the loopback that nothing listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// accepts reports whether something listens at the address.
func accepts(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
