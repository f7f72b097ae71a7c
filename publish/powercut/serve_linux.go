package powercut

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// serveIn is the environment variable that makes a process the disks' one. It
// holds the directory to work in.
const serveIn = "POWERCUT_SERVE_IN"

// action is what the test asks of the disks' process.
type action int

const (
	doFormat  action = iota // System, Size: a new disk, mounted
	doCut                   // Keep: a new disk, not mounted: what is left of Disk
	doMount                 // checks and mounts Disk
	doSlow                  // Delay: of each flush of Disk
	doFlushes               // of Disk so far
	doRemove                // Disk
)

type order struct {
	Do     action
	Disk   int
	System FileSystem
	Size   uint64
	Keep   float64
	Delay  time.Duration
}

type result struct {
	Disk     int
	Dir      string // where it is mounted, in the namespace of the process
	Device   string // its loop device
	Repaired string // what e2fsck printed where the journal was not enough
	Flushes  int
	Err      string
}

// Serve makes this process the one that holds disks, where [New] started it as
// such, and does not return then. A test binary that uses disks calls it first in
// its TestMain.
func Serve() {
	dir := os.Getenv(serveIn)
	if dir == "" {
		return
	}
	s := &server{dir: dir}
	err := s.serve(os.Stdin, os.Stdout)
	if err = errors.Join(err, s.removeAll()); err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type server struct {
	dir     string
	volumes []*volume
}

// serve carries out orders until there are no more: the test closes the pipe, or
// the kernel does when it dies.
func (s *server) serve(in io.Reader, out io.Writer) error {
	orders, results := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		r := result{Disk: o.Disk}
		if err := s.do(&o, &r); err != nil {
			r.Err = err.Error()
		}
		if err := results.Encode(&r); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
}

func (s *server) do(o *order, r *result) error {
	if o.Do == doFormat {
		return s.format(o, r)
	}
	v := s.volumes[o.Disk]
	switch o.Do {
	case doCut:
		r.Disk = s.add(v.medium.cut(o.Keep), v.system, v.size)
		return nil
	case doMount:
		return v.power(r)
	case doSlow:
		v.medium.slowDown(o.Delay)
		return nil
	case doFlushes:
		r.Flushes = v.medium.flushCount()
		return nil
	case doRemove:
		s.volumes[o.Disk] = nil // and with it what it held
		return v.remove()
	default:
		return fmt.Errorf("there is no action %d", o.Do)
	}
}

func (s *server) add(m *medium, system FileSystem, size uint64) int {
	n := len(s.volumes)
	s.volumes = append(s.volumes, &volume{medium: m, system: system, size: size, dir: filepath.Join(s.dir, strconv.Itoa(n))})
	return n
}

func (s *server) format(o *order, r *result) error {
	r.Disk = s.add(newMedium(), o.System, o.Size)
	v := s.volumes[r.Disk]
	if err := v.attach(); err != nil {
		return err
	}
	r.Device, r.Dir = v.device.Name(), v.mountDir()
	if err := v.format(); err != nil {
		return err
	}
	return v.mount()
}

// power brings a disk back after a cut.
func (v *volume) power(r *result) error {
	err := v.attach()
	if err != nil {
		return err
	}
	r.Device, r.Dir = v.device.Name(), v.mountDir()
	if r.Repaired, err = v.check(); err != nil {
		return err
	}
	return v.mount()
}

func (s *server) removeAll() error {
	var errs []error
	for _, v := range s.volumes {
		if v != nil {
			errs = append(errs, v.remove())
		}
	}
	return errors.Join(errs...)
}
