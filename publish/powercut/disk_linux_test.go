package powercut

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testSize = 512 << 20

// write writes a file of a page and returns it open.
func write(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.WriteString(strings.Repeat("x", pageSize)); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDisk is the control of all other tests with disks: a file that was not
// synced vanishes, one that was stays, after one cut and after the next.
func TestDisk(t *testing.T) {
	for _, system := range []FileSystem{Ext4, XFS, Btrfs} {
		t.Run(string(system), func(t *testing.T) { testDisk(t, system) })
	}
}

func testDisk(t *testing.T, system FileSystem) {
	Need(t, system)
	d := New(t, system, testSize)
	write(t, filepath.Join(d.Dir(), "unsynced"))
	file := write(t, filepath.Join(d.Dir(), "synced"))
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	file = write(t, filepath.Join(d.Dir(), "later"))
	for _, keep := range []float64{0, 0.5} {
		left := d.Cut(keep)
		left.Mount()
		wantFile(t, filepath.Join(left.Dir(), "synced"), true)
		wantFile(t, filepath.Join(left.Dir(), "later"), false)
		again := left.Cut(0)
		left.Remove()
		again.Mount()
		wantFile(t, filepath.Join(again.Dir(), "synced"), true)
		again.Remove()
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	left := d.Cut(0)
	left.Mount()
	wantFile(t, filepath.Join(left.Dir(), "later"), true)
}

// TestWriteCache is the control of what TestDisk cannot show: that the disk itself
// forgets. The pages are written out to it, past the page cache, and not flushed.
func TestWriteCache(t *testing.T) {
	for _, system := range []FileSystem{Ext4, XFS} { // btrfs writes changed pages to other places
		t.Run(string(system), func(t *testing.T) { testWriteCache(t, system) })
	}
}

func testWriteCache(t *testing.T, system FileSystem) {
	Need(t, system)
	d := New(t, system, testSize)
	file := write(t, filepath.Join(d.Dir(), "file"))
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	flushes := d.Flushes()
	if _, err := file.WriteAt([]byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	const writeOut = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := unix.SyncFileRange(int(file.Fd()), 0, pageSize, writeOut); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		keep float64
		want string
	}{{0, "xxx"}, {1, "new"}} {
		left := d.Cut(test.keep)
		if n := d.Flushes() - flushes; n != 0 {
			t.Fatalf("the disk was flushed %d times before the cut", n)
		}
		left.Mount()
		text, err := os.ReadFile(filepath.Join(left.Dir(), "file"))
		if err != nil || !strings.HasPrefix(string(text), test.want) {
			t.Errorf("with %v kept the file begins with %.3q, want %q (%v)", test.keep, text, test.want, err)
		}
		left.Remove()
	}
}

// wantFile looks for a file with all of its content. A file may be there and be
// empty where only its name was written.
func wantFile(t *testing.T, path string, want bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got := len(text) == pageSize; got != want {
		t.Errorf("%s is there: %v, want %v (%d bytes, %v)", filepath.Base(path), got, want, len(text), err)
	}
}

func TestSlowDown(t *testing.T) {
	Need(t, Ext4)
	d := New(t, Ext4, testSize)
	file, flushes := write(t, filepath.Join(d.Dir(), "file")), d.Flushes()
	const delay = 50 * time.Millisecond
	d.SlowDown(delay)
	begin := time.Now()
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	took, count := time.Since(begin), d.Flushes()-flushes
	if count < 1 || took < time.Duration(count)*delay {
		t.Errorf("a sync with %d flushes took %s", count, took)
	}
}

// TestNothingIsLeft: the loop device is free again after a disk is removed and
// after its test has ended.
func TestNothingIsLeft(t *testing.T) {
	Need(t, Ext4)
	for _, removed := range []bool{true, false} {
		var device string
		t.Run(fmt.Sprint("removed=", removed), func(t *testing.T) {
			d := New(t, Ext4, testSize)
			if device = d.device; !attached(device) {
				t.Fatalf("%s is not attached", device)
			}
			if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), "powercut") {
				t.Errorf("the disk's mounts are visible outside of its process: %v\n%s", err, mounts)
			}
			if removed {
				d.Remove()
				wantReleased(t, device)
			}
		})
		wantReleased(t, device)
	}
}

// TestKilledProcessLeavesNothing: also with writes that nobody takes any more,
// and with a file that a process of the test still holds open.
func TestKilledProcessLeavesNothing(t *testing.T) {
	Need(t, Ext4)
	p, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.do(order{Do: doFormat, System: Ext4, Size: testSize})
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(p.path(r.Dir), "unsynced"))
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err == nil {
		t.Error("a killed process ended in order")
	}
	if err := file.Sync(); err == nil {
		t.Error("a sync of a disk that is gone succeeds")
	}
	file.Close()
	wantReleased(t, r.Device)
}

// wantReleased waits until the kernel has taken the loop device apart, which it
// does a moment after its last user has gone.
func wantReleased(t *testing.T, device string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); attached(device); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still attached", device)
		}
	}
}

// attached tells whether a loop device has one of our files behind it. Another
// process may have taken a free one.
func attached(device string) bool {
	path, err := os.ReadFile(fmt.Sprintf("/sys/block/%s/loop/backing_file", filepath.Base(device)))
	return err == nil && strings.HasSuffix(strings.TrimSpace(string(path)), "/"+platterName)
}

func TestErrors(t *testing.T) {
	Need(t, Ext4)
	p, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.do(order{Do: doFormat, System: Ext4, Size: 4 << 10}); err == nil || !strings.Contains(err.Error(), "mkfs.ext4") {
		t.Errorf("a disk that is too small: %v", err)
	}
	t.Setenv("PATH", "/nonexistent")
	if path, err := find("e2fsck"); err != nil || !strings.HasSuffix(path, "sbin/e2fsck") {
		t.Errorf("with another PATH e2fsck is %s, %v", path, err)
	}
	if _, err := find("no-such-program"); err == nil || err.Error() != "no-such-program is missing: install the file system's programs" {
		t.Errorf("a program that is missing: %v", err)
	}
	t.Setenv(serveIn, "somewhere")
	if _, err := start(t.TempDir()); err == nil || !strings.Contains(err.Error(), "TestMain") {
		t.Errorf("a process of disks that runs tests: %v", err)
	}
}
