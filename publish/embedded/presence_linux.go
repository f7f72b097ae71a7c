package embedded

import (
	"os"
	"path/filepath"
	"strconv"
)

const openFiles = "/proc/self/fd"

// isOpenElsewhere reports whether this process has the file open a second time: the
// server goes on writing to it although another file is at its path. After a rewrite of
// its own the server has closed the old file.
func isOpenElsewhere(file *os.File) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(openFiles)
	if err != nil {
		return false
	}
	ours := strconv.Itoa(int(file.Fd()))
	for _, e := range entries {
		if e.Name() == ours {
			continue
		}
		if other, err := os.Stat(filepath.Join(openFiles, e.Name())); err == nil && os.SameFile(own, other) {
			return true
		}
	}
	return false
}
