//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout is how long the load waits without any answer before it gives up.
const answerTimeout = 15 * time.Second

// outcome says how a delivery was answered.
type outcome byte

const (
	unanswered outcome = iota
	stored             // answered 200
	refused            // answered, but not 200
)

// load delivers to one contestant over keep-alive connections. It runs in the calling
// goroutine: one thread serves all connections.
type load struct {
	address     netip.AddrPort
	deliveries  *deliveries
	connections []connection
	idle        []int     // a queue, so that all of them are used at any rate
	outcomes    []outcome // by number of the delivery

	poller int
	ready  []unix.EpollEvent
	buffer []byte
}

// newLoad connects.
func newLoad(address netip.AddrPort, deliveries *deliveries, connections int) (*load, error) {
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &load{
		address: address, deliveries: deliveries, poller: poller,
		ready: make([]unix.EpollEvent, 512), buffer: make([]byte, 16<<10),
	}
	for i := range connections {
		l.connections = append(l.connections, connection{fd: -1})
		if err := l.connect(i); err != nil {
			l.close()
			return nil, err
		}
		l.idle = append(l.idle, i)
	}
	// Without it a sleep of the open loop is 50 µs longer than it should be.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return l, nil
}

// connect replaces the socket of a connection.
func (l *load) connect(i int) error {
	c := &l.connections[i]
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
	c.part = c.part[:0]
	var err error
	if c.fd, err = dial(l.address); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)} // Fd is only handed back
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.poller, unix.EPOLL_CTL_ADD, c.fd, &event))
}

// batch returns what was sent so far.
func (l *load) batch() batch {
	return batch{first: l.deliveries.first, events: l.deliveries.events, outcomes: l.outcomes}
}

func (l *load) close() {
	for _, c := range l.connections {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
	unix.Close(l.poller)
}

// tally holds the figures of one turn.
type tally struct {
	window time.Duration // that deliveries were due in; of a closed loop until the last answer
	inTime int           // deliveries answered 200 within it

	stored, refused, lost, unsent int // deliveries

	took        []int64 // ns of those answered 200, from when each was due
	refusedTook []int64 // ns of the others
}

// turn is the state of a running turn.
type turn struct {
	*load
	pace       *pace
	start, end time.Time
	sent       int
	tally      tally
}

// run sends for the window, and returns when everything sent is answered.
func (l *load) run(window time.Duration, p *pace) (tally, error) {
	if err := l.restore(); err != nil {
		return tally{}, err
	}
	start := time.Now()
	t := &turn{load: l, pace: p, start: start, end: start.Add(window), tally: tally{window: window}}
	for {
		now := time.Now()
		next, err := t.send(now)
		if err != nil {
			return tally{}, err
		}
		if len(l.idle) == len(l.connections) && next < 0 {
			break
		}
		if err := t.receive(next); err != nil {
			return tally{}, err
		}
	}
	if p != nil {
		t.tally.unsent = len(p.due) - t.sent
		return t.tally, nil
	}
	// A closed loop keeps the contestant busy until the last answer, so all of that
	// time and all of those answers count.
	t.tally.window, t.tally.inTime = time.Since(start), t.tally.stored
	return t.tally, nil
}

// restore replaces the connections that the contestant has closed while they were idle.
func (l *load) restore() error {
	for {
		n, err := l.poll(0)
		if n == 0 || err != nil {
			return err
		}
		for _, event := range l.ready[:n] {
			if err := l.connect(int(event.Fd)); err != nil {
				return err
			}
		}
	}
}

// send sends the deliveries that are due at now, as far as connections are idle. It
// returns the time until the next one is due; negative means: wait for answers only.
func (t *turn) send(now time.Time) (time.Duration, error) {
	for len(t.idle) > 0 {
		due := now
		switch {
		case t.pace == nil:
			if !now.Before(t.end) {
				return -1, nil
			}
		case t.sent == len(t.pace.due) || t.pace.drop && now.After(t.end):
			return -1, nil
		default:
			due = t.start.Add(t.pace.due[t.sent])
			if due.After(now) {
				return due.Sub(now), nil
			}
		}
		if err := t.sendOne(due); err != nil {
			return 0, err
		}
	}
	return -1, nil
}

func (t *turn) sendOne(due time.Time) error {
	i := t.idle[0]
	t.idle = t.idle[1:]
	c := &t.connections[i]
	request, number := t.deliveries.next()
	t.outcomes = append(t.outcomes, unanswered)
	c.busy, c.number, c.due = true, number, due
	t.sent++
	if err := c.write(request); err != nil {
		return t.lose(i)
	}
	return nil
}

// lose counts the delivery of a connection as lost and connects again.
func (t *turn) lose(i int) error {
	t.tally.lost++
	t.release(i)
	return t.connect(i)
}

func (t *turn) release(i int) {
	t.connections[i].busy = false
	t.idle = append(t.idle, i)
}

// receive handles the answers that arrive within wait. A negative wait lasts until
// there is an answer.
func (t *turn) receive(wait time.Duration) error {
	n, err := t.poll(wait)
	if err != nil {
		return err
	}
	if n == 0 && wait < 0 {
		return fmt.Errorf("no answer within %s, and %d deliveries wait for one", answerTimeout, len(t.connections)-len(t.idle))
	}
	now := time.Now()
	for _, event := range t.ready[:n] {
		if err := t.take(int(event.Fd), now); err != nil {
			return err
		}
	}
	return nil
}

// poll waits like receive and returns how many connections can be read.
func (l *load) poll(wait time.Duration) (n int, err error) {
	milliseconds := 0
	if wait < 0 {
		milliseconds = int(answerTimeout.Milliseconds())
	}
	epoll := func() (err error) {
		n, err = unix.EpollWait(l.poller, l.ready, milliseconds)
		return err
	}
	if err := retryInterrupted(epoll); err != nil || n > 0 || wait <= 0 {
		return n, os.NewSyscallError("epoll_wait", err)
	}
	// epoll_wait counts in milliseconds, which is too coarse for a schedule.
	timeout := unix.NsecToTimespec(int64(wait))
	if _, err := unix.Ppoll([]unix.PollFd{{Fd: int32(l.poller), Events: unix.POLLIN}}, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return 0, os.NewSyscallError("ppoll", err)
	}
	return n, os.NewSyscallError("epoll_wait", retryInterrupted(epoll))
}

// take reads from one connection and counts its answer.
func (t *turn) take(i int, now time.Time) error {
	c := &t.connections[i]
	a, whole, err := c.read(t.buffer)
	switch {
	case !c.busy: // the contestant has closed it
		return t.connect(i)
	case err != nil:
		return t.lose(i)
	case !whole:
		return nil
	}
	t.count(c, a, now)
	t.release(i)
	if a.closes {
		return t.connect(i)
	}
	return nil
}

func (t *turn) count(c *connection, a answer, now time.Time) {
	took := now.Sub(c.due).Nanoseconds()
	if a.status != 200 {
		t.outcomes[c.number] = refused
		t.tally.refused++
		t.tally.refusedTook = append(t.tally.refusedTook, took)
		return
	}
	t.outcomes[c.number] = stored
	t.tally.stored++
	t.tally.took = append(t.tally.took, took)
	if !now.After(t.end) {
		t.tally.inTime++
	}
}
