//go:build linux || darwin || freebsd

package monitor

import "golang.org/x/sys/unix"

// DiskSpace returns how many bytes an ordinary user can still write below dir, and the
// size of its filesystem.
func DiskSpace(dir string) (Disk, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Disk{}, err
	}
	return Disk{Free: uint64(fs.Bavail) * uint64(fs.Bsize), Size: uint64(fs.Blocks) * uint64(fs.Bsize)}, nil
}
