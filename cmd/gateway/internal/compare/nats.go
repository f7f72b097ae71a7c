//go:build linux

package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startServer runs a NATS server as the gateway does in the same mode.
func startServer(listen, dir, mode string) (*server.Server, error) {
	host, port, err := hostPort(listen)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{Host: host, Port: port, JetStream: true, StoreDir: dir, JetStreamMaxStore: 1 << 62, NoSigs: true, NoLog: true}
	switch mode {
	case syncInterval:
		opts.SyncInterval = time.Second
	case syncAlways:
		opts.SyncAlways = true
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	ns.Start()
	if !ns.ReadyForConnections(startTimeout) {
		return nil, fmt.Errorf("the NATS server on %s is not ready after %s", listen, startTimeout)
	}
	return ns, nil
}

func hostPort(address string) (string, int, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(text)
	return host, port, err
}

// serveNATS is the process of a separate NATS server, of the version that the gateway
// embeds. Without a mode it syncs as it does by default.
func serveNATS(args []string) error {
	flags := flag.NewFlagSet("nats", flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	dir := flags.String("dir", "", "directory of the store")
	mode := flags.String("sync", "", "always, or nothing")
	_ = flags.Parse(args)
	ns, err := startServer(*listen, *dir, *mode)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	ns.WaitForShutdown()
	return nil
}
