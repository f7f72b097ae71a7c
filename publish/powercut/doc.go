// Package powercut gives tests a disk whose power can be cut. What was written
// and not flushed is then lost, all of it or a random part, as the write cache of
// a real disk is; what was flushed stays. Killing a process shows nothing of the
// kind: the kernel keeps what a killed process has written.
//
// A disk is a file of a FUSE file system that keeps unflushed writes apart, a
// loop device on that file, and ext4, xfs or btrfs on the device. The file system is this
// package's and its flushes are seen one by one, so a flush can be made slow, too.
//
//	page cache → file system → loop device → FUSE → medium: unsynced | flushing | durable
//
// All of it lives in a process of its own, with a private mount namespace; tests
// reach a disk through that process's root. The process ends with the test,
// however that ends, and with it go the mounts and the loop devices. It also keeps
// the test from waiting for itself: a process that serves a file system must not
// start others on it.
//
// It needs Linux, root, FUSE, loop devices, and the programs of the
// file system; [Check] says what is missing.
package powercut
