//go:build !linux

package main

import (
	"errors"
	"net"
)

// onlyKnown is for Linux.
func onlyKnown(net.Listener) error { return errors.ErrUnsupported }
