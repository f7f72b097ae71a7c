//go:build !linux && !darwin && !freebsd

package publish

// freeSpace is not known on this system: the server's own errors have to do.
func freeSpace(string) (uint64, error) { return unknownSpace, nil }

// diskSpace is not known either: both 0, as where there is no data directory.
func diskSpace(string) (free, size uint64, err error) { return 0, 0, nil }
