//go:build !linux

package main

import "syscall"

var endWithTest *syscall.SysProcAttr
