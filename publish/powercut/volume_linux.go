package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// volume is a medium in use: the file, the loop device on it, and the file system
// on that.
type volume struct {
	medium  *medium
	system  FileSystem
	size    uint64
	dir     string   // holds the two mount points
	device  *os.File // the loop device; nil while it is not attached
	mounted bool
}

func (v *volume) fuseDir() string  { return filepath.Join(v.dir, "fuse") }
func (v *volume) mountDir() string { return filepath.Join(v.dir, "disk") }

// attach makes the medium a block device.
func (v *volume) attach() error {
	for _, dir := range []string{v.fuseDir(), v.mountDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	path, err := expose(v.medium, v.size, v.fuseDir())
	if err != nil {
		return err
	}
	v.device, err = attachLoop(path)
	return err
}

// format makes a file system.
func (v *volume) format() error {
	command := toolsOf[v.system].format
	_, err := run(command[0], append(slices.Clone(command[1:]), v.device.Name())...)
	return err
}

// check does what a machine does when it starts: the journal is replayed. Where
// more is wrong, everything that can be repaired is, and the text says what.
func (v *volume) check() (repaired string, err error) {
	if !toolsOf[v.system].repair {
		return "", nil
	}
	if _, err := run("e2fsck", "-p", v.device.Name()); corrected(err) {
		return "", nil
	}
	repaired, err = run("e2fsck", "-f", "-y", v.device.Name())
	if corrected(err) {
		err = nil
	}
	return repaired, err
}

// corrected tells whether e2fsck has left nothing uncorrected; it ends with a
// status of 1 or 2, too, where it had work to do.
func corrected(err error) bool {
	const uncorrected = 4 // e2fsck(8)
	status := exitStatus(err)
	return status >= 0 && status < uncorrected
}

func (v *volume) mount() error {
	if err := unix.Mount(v.device.Name(), v.mountDir(), string(v.system), 0, toolsOf[v.system].mount); err != nil {
		return fmt.Errorf("mount %s of %s on %s: %w", v.system, v.device.Name(), v.mountDir(), err)
	}
	v.mounted = true
	return nil
}

// remove takes the volume apart. An error says who is still using it.
func (v *volume) remove() error {
	var errs []error
	if v.mounted {
		if err := unix.Unmount(v.mountDir(), 0); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w: a process still uses it", v.mountDir(), err))
			unix.Unmount(v.mountDir(), unix.MNT_DETACH)
		}
		v.mounted = false
	}
	if v.device != nil {
		errs = append(errs, v.device.Close()) // the device is cleared with its last user
		v.device = nil
		// Lazily: clearing the device closes the file a moment after this.
		errs = append(errs, unix.Unmount(v.fuseDir(), unix.MNT_DETACH))
	}
	return errors.Join(errs...)
}

// attachLoop returns a loop device on the file that is released with its last user.
func attachLoop(path string) (*os.File, error) {
	// Not an os.File: the runtime would poll it, and wait for this process itself.
	file, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(file)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for {
		device, err := configureLoop(int(control.Fd()), file)
		if !errors.Is(err, unix.EBUSY) { // else another process took it first
			return device, err
		}
	}
}

// configureLoop takes the device that the kernel calls free. Its blocks are
// pages, so that nothing smaller is written.
func configureLoop(control, file int) (*os.File, error) {
	n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("ask for a free loop device: %w", err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	config := &unix.LoopConfig{Fd: uint32(file), Size: pageSize, Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(device.Fd()), config); err != nil {
		device.Close()
		return nil, fmt.Errorf("configure %s: %w", device.Name(), err)
	}
	return device, nil
}

// run returns what a program printed.
func run(name string, args ...string) (string, error) {
	path, err := find(name)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// exitStatus returns the status of a program that ended with err, -1 where it
// did not run.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	return -1
}

// find looks for a program of the administrator's, which need not be in PATH.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing: install the file system's programs", name)
	}
	return path, nil
}
