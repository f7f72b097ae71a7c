//go:build linux || darwin || freebsd

package publish

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes an ordinary user can still write below dir.
func freeSpace(dir string) (uint64, error) {
	free, _, err := diskSpace(dir)
	return free, err
}

// diskSpace returns that, and how many bytes the filesystem of dir has in all.
func diskSpace(dir string) (free, size uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	return uint64(fs.Bavail) * uint64(fs.Bsize), uint64(fs.Blocks) * uint64(fs.Bsize), nil
}
