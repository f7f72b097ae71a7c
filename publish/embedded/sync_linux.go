package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

// Sync makes what was written to a filesystem durable. It is safe for concurrent
// use, but each call is a sync of its own.
type Sync struct{ dir *os.File }

// OpenSync prepares the sync of everything that is written to the filesystem on which
// the server of [Config].Dir has its store. The error says why this machine cannot
// give it; the server's own sync of every message ([Config].SyncAlways) is the way
// then. The caller closes it.
//
// It is syncfs(2) and not fdatasync of the server's files: those would have to be
// known, also the new ones and the directories and what is renamed, and each
// that was forgotten is a stream lost in a power cut. What other programs write
// on the same filesystem is synced with it.
func OpenSync(dir string) (*Sync, error) {
	f, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	if err := checkFilesystem(int(f.Fd())); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s %w", f.Name(), err)
	}
	return &Sync{f}, nil
}

// openStore opens the directory of the store, which can be a mount of its own, or what
// there is of the way to it from dir: the server makes the rest of it there.
func openStore(dir string) (*os.File, error) {
	for path := filepath.Join(StoreDir(dir), server.JetStreamStoreDir); ; path = filepath.Dir(path) {
		f, err := os.Open(path)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Clean(dir) {
			return f, err
		}
	}
}

// Sync returns when everything that was written before the call is on disk. An
// error is final: the kernel reports a failed write once, and may have dropped
// it. The handle is held open from before the first write, because errors are
// told only to handles that were there (Linux 5.8 and later).
func (s *Sync) Sync() error { return unix.Syncfs(int(s.dir.Fd())) }

// Close gives the handle back.
func (s *Sync) Close() error { return s.dir.Close() }

// syncable are the filesystems of which it is known, by cutting the power, that
// syncfs keeps its promise.
var syncable = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2, ext3 and ext4
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.OVERLAYFS_SUPER_MAGIC: true, // containers
}

func checkFilesystem(fd int) error {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(fd, &stat); err != nil {
		return err
	}
	kind := int64(stat.Type)
	if kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC {
		return errors.New("is in memory: nothing there survives a restart of the machine, whatever is synced")
	}
	if !syncable[kind] {
		return fmt.Errorf("is on a filesystem (type %#x) that is not known to keep what syncfs promises: expected ext4, xfs, btrfs or overlayfs", kind)
	}
	return nil
}
