package main

import "syscall"

// endWithTest kills a gateway whose test is killed: it would hold its ports, and a
// disk of package powercut, until somebody looks.
var endWithTest = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
