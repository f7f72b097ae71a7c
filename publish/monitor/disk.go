package monitor

import "fmt"

// Disk is the space of a filesystem, in bytes. The size is 0 where it is not known.
type Disk struct{ Free, Size uint64 }

// diskReserve is the free space, in bytes, below which the data directory counts as full:
// room for the server's own files and for what is being written. After a failed write the
// server takes nothing until it is restarted. Below nearlyFull it is sampled faster.
const (
	diskReserve = 64 << 20
	nearlyFull  = 4 * diskReserve
)

func (d Disk) check(dir string) error {
	if d.Size > 0 && d.Free < diskReserve {
		return fmt.Errorf("the disk of the data directory %s is full: %d MiB are free, %d MiB are kept in reserve; free some space", dir, d.Free>>20, diskReserve>>20)
	}
	return nil
}

// sampleDisk returns the space, and why nothing should be written now.
func sampleDisk(dir string) (Disk, error) {
	if dir == "" {
		return Disk{}, nil
	}
	d, err := DiskSpace(dir)
	if err != nil {
		return d, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return d, d.check(dir)
}
