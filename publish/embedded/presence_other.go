//go:build !linux

package embedded

import "os"

// isOpenElsewhere is for Linux: other systems do not list the open files.
func isOpenElsewhere(*os.File) bool { return false }
