package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// version and commit are set by release builds:
//
//	go build -ldflags "-X main.version=v1.2.3 -X main.commit=abcdef"
//
// Other builds have what the go command wrote into the binary.
var version, commit string

const (
	unknownBuild = "unknown"
	develBuild   = "devel" // by go run, which writes no version
)

func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the gateway, Go and the NATS libraries",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return printVersion(cmd.OutOrStdout()) },
	}
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "gateway      %s\ncommit       %s\ngo           %s %s/%s\nnats.go      %s\nnats-server  %s\n",
		buildVersion(), buildCommit(), runtime.Version(), runtime.GOOS, runtime.GOARCH, nats.Version, server.VERSION)
	return err
}

// buildVersion returns the version of this binary.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return develBuild
	}
	return info.Main.Version
}

// buildCommit returns the commit that the binary was built from.
func buildCommit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownBuild
	}
	return commitOf(info.Settings)
}

func commitOf(build []debug.BuildSetting) string {
	found := make(map[string]string, len(build))
	for _, b := range build {
		found[b.Key] = b.Value
	}
	switch {
	case found["vcs.revision"] == "":
		return unknownBuild
	case found["vcs.modified"] == "true":
		return found["vcs.revision"] + " (modified)"
	default:
		return found["vcs.revision"]
	}
}
