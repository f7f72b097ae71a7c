package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// The first signal asks for an orderly end; from then on a second one has
	// its usual effect, for whoever does not want to wait.
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit status. It is the whole
// program but for the signals, so that tests can call it.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCmd()
	// A nil slice would make cobra take the arguments of the process.
	root.SetArgs(append([]string{}, args...))
	root.SetIn(stdin)
	root.SetOut(terminal{stdout})
	root.SetErr(terminal{stderr})
	err := root.ExecuteContext(ctx)
	complain(root.ErrOrStderr(), err)
	return exitStatus(err)
}

// complain prints an error that the log does not hold, every line of it under the
// program's name.
func complain(w io.Writer, err error) {
	if err == nil || errors.As(err, new(loggedError)) {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "gateway: %s\n", line)
	}
}

func exitStatus(err error) int {
	var usage usageError
	var wrong problems
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &wrong):
		return exitUsage
	default:
		return exitFailed
	}
}
