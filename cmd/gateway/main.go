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

	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// The first signal stops the gateway in order. A second one has its usual effect, for
	// users who do not want to wait.
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit status. It is the whole program
// except for the signals, so that tests can call it.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCmd()
	// With a nil slice cobra would use the arguments of the process.
	root.SetArgs(append([]string{}, args...))
	root.SetIn(stdin)
	root.SetOut(terminal{stdout})
	root.SetErr(terminal{stderr})
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	printError(root.ErrOrStderr(), err)
	return exitStatus(err)
}

// printError prints an error unless it is in the log, each line with the program's name.
func printError(w io.Writer, err error) {
	if err == nil || errors.As(err, new(server.LoggedError)) {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "gateway: %s\n", line)
	}
}

func exitStatus(err error) int {
	var usage usageError
	var wrong settings.Problems
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &wrong):
		return exitUsage
	default:
		return exitFailed
	}
}
