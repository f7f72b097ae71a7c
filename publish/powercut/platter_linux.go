package powercut

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// platter is a medium as the one file of a file system.
type platter struct {
	fs.Inode
	medium *medium
	size   uint64
}

var (
	_ fs.NodeGetattrer = (*platter)(nil)
	_ fs.NodeOpener    = (*platter)(nil)
	_ fs.NodeReader    = (*platter)(nil)
	_ fs.NodeWriter    = (*platter)(nil)
	_ fs.NodeFsyncer   = (*platter)(nil)
)

// Getattr implements fs.NodeGetattrer.
func (p *platter) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = 0o600, p.size, pageSize
	return fs.OK
}

// Open implements fs.NodeOpener. There is no handle: the node does the work.
func (p *platter) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, fs.OK
}

// Read implements fs.NodeReader.
func (p *platter) Read(_ context.Context, _ fs.FileHandle, into []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	length := min(int64(len(into)), max(int64(p.size)-offset, 0))
	p.medium.read(into[:length], offset)
	return fuse.ReadResultData(into[:length]), fs.OK
}

// Write implements fs.NodeWriter.
func (p *platter) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	p.medium.write(data, offset)
	return uint32(len(data)), fs.OK
}

// Fsync implements fs.NodeFsyncer. It is what becomes of the file system's
// barriers: the loop device passes a flush on as fsync of its file.
func (p *platter) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	p.medium.flush()
	return fs.OK
}

// maxTransfer is the most that one request reads or writes, in bytes.
const maxTransfer = 1 << 20

const platterName = "platter"

// expose mounts a file system with the medium as its one file on dir, and returns
// the path of the file.
func expose(m *medium, size uint64, dir string) (string, error) {
	device, err := mountFUSE(dir)
	if err != nil {
		return "", err
	}
	forever := time.Hour // nothing but the kernel changes the file
	root := &fs.Inode{}
	options := &fs.Options{AttrTimeout: &forever, EntryTimeout: &forever}
	options.MaxWrite = maxTransfer
	options.DisableXAttrs = true // else each write asks for one
	options.OnAdd = func(ctx context.Context) {
		file := root.NewPersistentInode(ctx, &platter{medium: m, size: size}, fs.StableAttr{Mode: syscall.S_IFREG})
		root.AddChild(platterName, file, true)
	}
	// The server owns the descriptor from here on. It ends when the last user of
	// the mount has gone.
	if _, err := fs.Mount(fmt.Sprintf("/dev/fd/%d", device), root, options); err != nil {
		return "", fmt.Errorf("serve the file system on %s: %w", dir, err)
	}
	return filepath.Join(dir, platterName), nil
}

// mountFUSE mounts a file system that is served on the descriptor it returns. The
// library would do it too, but without close-on-exec: a child that inherits the
// descriptor keeps the file system waiting for answers after its server is gone.
func mountFUSE(dir string) (int, error) {
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,max_read=%d", device, os.Geteuid(), os.Getegid(), maxTransfer)
	if err := unix.Mount("powercut", dir, "fuse.powercut", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(device)
		return 0, fmt.Errorf("mount a FUSE file system on %s: %w", dir, err)
	}
	return device, nil
}
