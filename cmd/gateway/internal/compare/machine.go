//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var filesystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
}

// describe returns a line with what figures depend on: the date, the machine, and
// the versions.
func (l *lab) describe(ctx context.Context) string {
	facts := []string{
		time.Now().Format(time.DateOnly), version(ctx, l.builds.gateway),
		fmt.Sprintf("%s, %d processors", processor(), runtime.NumCPU()),
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(l.dir, &stat); err == nil && filesystems[stat.Type] != "" {
		facts = append(facts, filesystems[stat.Type])
	}
	facts = append(facts, "Go "+strings.TrimPrefix(runtime.Version(), "go"))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "github.com/nats-io/nats-server/v2":
				facts = append(facts, "nats-server "+strings.TrimPrefix(module.Version, "v"))
			case "github.com/nats-io/nats.go":
				facts = append(facts, "nats.go "+strings.TrimPrefix(module.Version, "v"))
			}
		}
	}
	if l.builds.base != "" {
		facts = append(facts, "base: "+version(ctx, l.builds.base))
	}
	return strings.Join(facts, ", ")
}

// version is the first line that the program says of itself.
func version(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "gateway of unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, found := strings.Cut(string(text), "model name\t: ")
	if !found {
		return runtime.GOARCH
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}
