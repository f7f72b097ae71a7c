//go:build !linux

package powercut

// Serve does nothing: there are no disks on this system.
func Serve() {}
