//go:build linux

package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

//go:embed fastify/package.json fastify/server.js
var fastifyFiles embed.FS

// missing returns why a scenario cannot be measured here; empty where it can. It
// installs what the scenario needs.
func (l *lab) missing(ctx context.Context, s *scenario) string {
	needed := slices.ContainsFunc(s.rivals, func(c contestant) bool { return c.kind == kindFastify })
	if !needed || l.builds.base != "" || l.fastify != "" {
		return ""
	}
	if err := l.installFastify(ctx); err != nil {
		return err.Error()
	}
	return ""
}

// installFastify puts the service and its packages into the lab's directory, with
// which they are removed.
func (l *lab) installFastify(ctx context.Context) error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing: install Node 20 or later", program)
		}
	}
	if err := os.CopyFS(l.dir, fastifyFiles); err != nil {
		return err
	}
	dir := filepath.Join(l.dir, "fastify")
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w: %s", err, out)
	}
	l.fastify = dir
	return nil
}
