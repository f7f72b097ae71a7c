package powercut

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Need skips a test that needs disks where it was not asked for: POWERCUT_CUTS is
// not set. Where the machine cannot give them the test fails, or is skipped with
// POWERCUT=optional.
func Need(t testing.TB, system FileSystem) {
	t.Helper()
	if os.Getenv("POWERCUT_CUTS") == "" {
		t.Skip("needs root, FUSE and loop devices, so it runs only when it is asked for: make powercut")
	}
	err := Check(system)
	if err == nil {
		return
	}
	if os.Getenv("POWERCUT") == "optional" {
		t.Skip("NOT CHECKED:", err)
	}
	t.Fatal(err)
}

// checkSize is enough for a file system with its journal, in bytes.
const checkSize = 512 << 20

// Check tries to make a disk and says what this machine lacks for it.
func Check(system FileSystem) error {
	if os.Geteuid() != 0 {
		return errors.New("a disk with power cuts needs root, to mount file systems: this is another user")
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if err := unix.Access(device, unix.R_OK|unix.W_OK); err != nil {
			return fmt.Errorf("a disk with power cuts needs %s: %w (load the kernel's modules fuse and loop; in a container pass the devices on)", device, err)
		}
	}
	for _, program := range toolsOf[system].programs {
		if _, err := find(program); err != nil {
			return fmt.Errorf("a disk with power cuts and %s needs %s: %w", system, toolsOf[system].debian, err)
		}
	}
	return tryOut(system)
}

func tryOut(system FileSystem) error {
	dir, err := os.MkdirTemp("", "powercut-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := start(dir)
	if err != nil {
		return err
	}
	_, err = p.do(order{Do: doFormat, System: system, Size: checkSize})
	if err = errors.Join(err, p.stop()); err != nil {
		return fmt.Errorf("a disk with power cuts and %s cannot be made on this machine: %w", system, err)
	}
	return nil
}
