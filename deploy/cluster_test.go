package deploy

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// member is one server of the stack's cluster, on the loopback.
type member struct{ client, cluster, http int }

// startCluster runs the servers of compose.yaml with its configuration file and
// its command. Flags move them from the containers' addresses to ports of the loopback.
func startCluster(t *testing.T, s *stack) map[string]member {
	t.Helper()
	names := s.natsServers()
	all := make(map[string]member, len(names))
	var routes []string
	for _, name := range names {
		m := member{natstest.FreePort(t), natstest.FreePort(t), natstest.FreePort(t)}
		all[name] = m
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", m.cluster))
	}
	for _, name := range names {
		m := all[name]
		args := slices.Clone(s.Services[name].Command)
		args[slices.Index(args, "--config")+1] = "nats/nats.conf"
		args[slices.Index(args, "--store_dir")+1] = t.TempDir()
		startServer(t, append(args, "--addr", "127.0.0.1", "--port", fmt.Sprint(m.client), "--http_port", fmt.Sprint(m.http),
			"--cluster", fmt.Sprintf("nats://127.0.0.1:%d", m.cluster), "--routes", strings.Join(routes, ",")))
	}
	return all
}

func startServer(t *testing.T, args []string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program(t, "nats-server"), args...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nats-server %v:\n%s", args, &log)
		}
	})
}

// TestComposeCluster runs the stack's servers and a gateway with the stack's
// settings as processes of this machine.
func TestComposeCluster(t *testing.T) {
	s := mustStack(t)
	members := startCluster(t, s)
	env := append(onLoopback(s.Services["gateway"].environment(), members),
		"GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_ADMIN_LISTEN=127.0.0.1:0", "GATEWAY_META_APP_SECRETS=s", "GATEWAY_META_VERIFY_TOKEN=v")
	for name, m := range members {
		check := s.Services[name].Healthcheck.Test
		url := strings.Replace(check[len(check)-1], ":8222/", fmt.Sprintf(":%d/", m.http), 1)
		eventually(t, name+" is healthy", func() bool { return healthy(url) })
	}
	gateway := startGateway(t, env)
	eventually(t, "the gateway is ready", func() bool { return get(t, gateway.Admin+"/readyz") == "200 ready" })
	if got := post(t, gateway.Webhook, "s", "m_1"); got != accepted {
		t.Errorf("answered %s", got)
	}
	stream, err := natstest.JetStream(t, fmt.Sprintf("nats://127.0.0.1:%d", members["nats-2"].client)).Stream(t.Context(), "POSTBACKS")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.State.Msgs != 1 || info.Config.Replicas != 3 || info.Cluster.Name != "postbacks" {
		t.Errorf("the stream has %d messages and %d replicas in %q, expected 1, 3 and postbacks", info.State.Msgs, info.Config.Replicas, info.Cluster.Name)
	}
}

// onLoopback replaces the servers' names in settings. The last value of a
// variable counts, so what is appended wins.
func onLoopback(env []string, members map[string]member) []string {
	for i := range env {
		for name, m := range members {
			env[i] = strings.ReplaceAll(env[i], name+":4222", fmt.Sprintf("127.0.0.1:%d", m.client))
		}
	}
	return env
}

func healthy(url string) bool {
	response, err := http.Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}
