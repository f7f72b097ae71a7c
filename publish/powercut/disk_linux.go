package powercut

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Disk is a disk of a test. It is not safe for concurrent use; the files on it are.
type Disk struct {
	t        testing.TB
	process  *process
	number   int
	size     uint64
	dir      string
	device   string
	repaired string
}

// New returns an empty disk of so many bytes with a file system, mounted until
// the test ends. It takes as much memory as is written to it.
func New(t testing.TB, system FileSystem, size uint64) *Disk {
	t.Helper()
	p, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	d := &Disk{t: t, process: p, size: size}
	d.mounted(d.do(order{Do: doFormat, System: system, Size: size}))
	return d
}

// Dir is where the disk is mounted.
func (d *Disk) Dir() string { return d.dir }

// Repaired is what e2fsck had to repair when the disk was mounted, empty where its
// journal was enough, as it should be after a power cut.
func (d *Disk) Repaired() string { return d.repaired }

// Cut returns the disk as it is after a power cut at this moment. Of what was not
// flushed, each page of 4096 bytes is left with the probability keep: with 0 none
// is. The disk that is cut works on: a test ends what uses it, and removes it.
func (d *Disk) Cut(keep float64) *Disk {
	d.t.Helper()
	left := *d
	left.number = d.do(order{Do: doCut, Keep: keep}).Disk
	left.dir, left.device, left.repaired = "", "", ""
	return &left
}

// Mount checks the file system of a disk that Cut has returned, as a machine that
// starts does, and mounts it.
func (d *Disk) Mount() {
	d.t.Helper()
	d.mounted(d.do(order{Do: doMount}))
}

func (d *Disk) mounted(r result) {
	d.number, d.device, d.repaired = r.Disk, r.Device, r.Repaired
	d.dir = d.process.path(r.Dir)
}

// SlowDown makes each flush take that much longer from now on, and those of what
// a cut leaves of the disk, too.
func (d *Disk) SlowDown(flush time.Duration) {
	d.t.Helper()
	d.do(order{Do: doSlow, Delay: flush})
}

// Flushes is how often the disk was flushed.
func (d *Disk) Flushes() int {
	d.t.Helper()
	return d.do(order{Do: doFlushes}).Flushes
}

// Remove takes the disk away before the test ends. No process may use it any more.
func (d *Disk) Remove() {
	d.t.Helper()
	d.do(order{Do: doRemove})
}

func (d *Disk) do(o order) result {
	d.t.Helper()
	o.Disk = d.number
	r, err := d.process.do(o)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// process is the one that holds the disks, seen from the test.
type process struct {
	cmd     *exec.Cmd
	in      io.Closer
	orders  *gob.Encoder
	results *gob.Decoder
}

// start runs this program again, as [Serve], with mounts of its own. The program
// ends when its input does, so it does not outlive the test.
func start(dir string) (*process, error) {
	if os.Getenv(serveIn) != "" {
		return nil, errors.New("this is the process that holds the disks, and it runs tests: TestMain has to call powercut.Serve first")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveIn+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS, // the Go runtime makes the mounts private
		Setpgid:      true,                // Ctrl-C ends the test, which ends this in order
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process with mounts of its own: %w", err)
	}
	return &process{cmd, in, gob.NewEncoder(in), gob.NewDecoder(out)}, nil
}

// stop ends the process; it takes all disks apart first.
func (p *process) stop() error {
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the process that holds the disks: %w", err)
	}
	return nil
}

func (p *process) do(o order) (result, error) {
	var r result
	if err := p.orders.Encode(&o); err != nil {
		return r, fmt.Errorf("the process that holds the disks takes no orders: %w", err)
	}
	if err := p.results.Decode(&r); err != nil {
		return r, fmt.Errorf("the process that holds the disks does not answer: %w", err)
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

// path is how others reach what the process has mounted.
func (p *process) path(dir string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", p.cmd.Process.Pid), dir)
}
