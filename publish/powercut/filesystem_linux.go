package powercut

import (
	"fmt"
	"strconv"
)

// FileSystem is what a disk is formatted with.
type FileSystem string

// The file systems that a disk can have.
const (
	Ext4  FileSystem = "ext4"
	XFS   FileSystem = "xfs"
	Btrfs FileSystem = "btrfs"
)

// tools are the programs for a file system.
type tools struct {
	programs []string
	debian   string // package that holds them
	format   []string
	mount    string // options
	repair   bool   // with e2fsck, before it is mounted; the others replay their log by themselves
}

// Nothing is left to be done lazily: background writes would be flushed with somebody
// else's data. Nothing smaller than a page is written, see pageSize.
var toolsOf = map[FileSystem]tools{
	Ext4: {
		programs: []string{"mkfs.ext4", "e2fsck"}, debian: "e2fsprogs", repair: true,
		format: []string{"mkfs.ext4", "-q", "-b", strconv.Itoa(pageSize), "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-N", "8192"},
	},
	XFS: {
		programs: []string{"mkfs.xfs"}, debian: "xfsprogs",
		format: []string{"mkfs.xfs", "-q", "-K", "-b", fmt.Sprint("size=", pageSize), "-s", fmt.Sprint("size=", pageSize)},
		mount:  "nouuid", // a disk and what a cut left of it are mounted at the same time
	},
	Btrfs: {
		programs: []string{"mkfs.btrfs"}, debian: "btrfs-progs",
		format: []string{"mkfs.btrfs", "-q", "-K", "-s", strconv.Itoa(pageSize)},
	},
}
