package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// engine is podman with everything it keeps in a directory of the test.
type engine struct {
	t    *testing.T
	args []string
}

// newEngine needs no daemon and no registry. runc, because crun refuses the mixed
// control groups that some machines for tests have.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if os.Getenv("IMAGE") == "" {
		t.Skip("make image runs it")
	}
	for _, name := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(name); err != nil {
			cannot(t, "IMAGE", "%s is not installed: apt-get install podman runc", name)
		}
	}
	if os.Getuid() != 0 {
		cannot(t, "IMAGE", "this needs root")
	}
	// Not t.TempDir: paths of sockets in it would be too long.
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t, []string{"--root", dir + "/root", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp", "--runtime", "runc", "--cgroup-manager", "cgroupfs"}}
	t.Cleanup(func() {
		_ = exec.Command("podman", append(e.args, "rm", "--all", "--force", "--time", "1")...).Run()
		_ = exec.Command("umount", dir+"/root/overlay").Run()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *engine) command(args ...string) *exec.Cmd {
	return exec.Command("podman", append(append([]string{}, e.args...), args...)...)
}

// try returns what podman printed, which has to be asked for: its complaints about
// a missing systemd are not among it.
func (e *engine) try(args ...string) (string, error) {
	cmd := e.command(args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("podman %v: %w\n%s%s", args, err, &out, &complaints)
	}
	return strings.TrimSpace(out.String()), nil
}

func (e *engine) must(args ...string) string {
	e.t.Helper()
	out, err := e.try(args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// limits are what every process here may have; the defaults are more than root may
// set where it is not root of the machine.
var limits = []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "host"}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// builder makes an image with this machine's Go, for the Dockerfile's GO_IMAGE
// where no registry can be reached. It is nearly empty: the programs and caches are
// mounted while a step runs, with the options that it returns.
func (e *engine) builder(name string) (options []string) {
	e.t.Helper()
	dir := e.t.TempDir()
	root, modules, cache := goEnv(e.t, "GOROOT"), goEnv(e.t, "GOMODCACHE"), goEnv(e.t, "GOCACHE")
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		e.t.Fatal(err)
	}
	certificates := mustRead(e.t, "/etc/ssl/certs/ca-certificates.crt")
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates.crt"), certificates, 0o600); err != nil {
		e.t.Fatal(err)
	}
	text := fmt.Sprintf("FROM scratch\nCOPY ca-certificates.crt /etc/ssl/certs/\nCOPY tmp /tmp\nENV PATH=%s/bin:/usr/bin:/bin GOMODCACHE=%s GOCACHE=%s GOPROXY=%s GOTOOLCHAIN=local\n",
		root, modules, cache, goEnv(e.t, "GOPROXY"))
	if err := os.WriteFile(filepath.Join(dir, "Containerfile"), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	e.must("build", "--tag", name, dir)
	for _, path := range []string{"/bin", "/lib", "/lib64", "/usr", root} {
		if _, err := os.Stat(path); err == nil {
			options = append(options, "--volume", path+":"+path+":ro")
		}
	}
	return append(options, "--volume", modules+":"+modules, "--volume", cache+":"+cache)
}

// build builds the Dockerfile as its users do, on another GO_IMAGE.
func (e *engine) build(image string) {
	e.t.Helper()
	args := append([]string{"build", "--format", "docker", "--isolation", "chroot", "--file", "Dockerfile", "--tag", image,
		"--build-arg", "GO_IMAGE=localhost/go", "--build-arg", "VERSION=v1.2.3", "--build-arg", "COMMIT=abcdef",
		"--build-arg", "TARGETOS=" + runtime.GOOS, "--build-arg", "TARGETARCH=" + runtime.GOARCH}, limits...)
	e.must(append(append(args, e.builder("localhost/go")...), "..")...)
}

// container is a gateway that runs as strictly as an image can.
type container struct {
	*engine
	name string
	running
}

func (e *engine) start(image, name string, env ...string) *container {
	e.t.Helper()
	args := append([]string{"run", "--detach", "--name", name, "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
		"--security-opt", "no-new-privileges", "--volume", "data:/data", "--health-interval", "disable"}, limits...)
	for _, one := range env {
		args = append(args, "--env", one)
	}
	e.must(append(args, image)...)
	logs := e.command("logs", "--follow", name)
	out, err := logs.StderrPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		_ = logs.Process.Kill()
		_ = logs.Wait()
	})
	return &container{e, name, follow(e.t, out)}
}

// stop asks with the image's signal and checks that the gateway ended in order.
func (c *container) stop() {
	c.t.Helper()
	c.must("stop", "--time", "30", c.name)
	if status := c.must("inspect", "--format", "{{.State.ExitCode}}", c.name); status != "0" {
		c.t.Errorf("%s ended with status %s, expected 0", c.name, status)
	}
}

// TestImage builds the image and runs it: read-only, without a capability, as its
// own user, with a volume that outlives the container.
func TestImage(t *testing.T) {
	e := newEngine(t)
	e.build("localhost/gateway")
	e.checkFiles("localhost/gateway")
	e.checkConfig("localhost/gateway")
	version := e.must(append(append([]string{"run", "--rm", "--no-healthcheck"}, limits...), "localhost/gateway", "version")...)
	if !strings.Contains(version, " v1.2.3\n") || !strings.Contains(version, " abcdef\n") {
		t.Errorf("version:\n%s", version)
	}

	env := []string{"GATEWAY_LISTEN=127.0.0.1:0", "GATEWAY_EMBEDDED_LISTEN=off", "GATEWAY_META_APP_SECRETS=s",
		fmt.Sprintf("GATEWAY_ADMIN_LISTEN=127.0.0.1:%d", natstest.FreePort(t))}
	c := e.start("localhost/gateway", "first", env...)
	c.checkProcess()
	if got := post(t, c.Webhook, "s", "m_1"); got != accepted {
		t.Errorf("answered %s", got)
	}
	if got := get(t, c.Admin+"/readyz"); got != "200 ready" {
		t.Errorf("/readyz: %s", got)
	}
	e.must("healthcheck", "run", "first")
	c.stop()

	c = e.start("localhost/gateway", "second", env...)
	if got := post(t, c.Webhook, "s", "m_1"); got != duplicate {
		t.Errorf("after a restart on the same volume answered %s", got)
	}
	c.stop()
	_, err := e.try(append(append([]string{"run", "--rm", "--no-healthcheck", "--env", env[3]}, limits...), "localhost/gateway", "health")...)
	if err == nil || !strings.Contains(err.Error(), "gateway: no gateway responds") {
		t.Errorf("health where no gateway runs: %v", err)
	}
}

// checkFiles: the image holds what it has to, and nothing else.
func (e *engine) checkFiles(image string) {
	e.t.Helper()
	root := e.must("image", "mount", image)
	defer e.must("image", "unmount", image)
	var files []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	})
	if want := "[/LICENSE /etc/ssl/certs/ca-certificates.crt /gateway]"; err != nil || fmt.Sprint(files) != want {
		e.t.Errorf("files %v, %v, expected %s", files, err, want)
	}
	out, err := exec.Command("go", "version", "-m", filepath.Join(root, "gateway")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CGO_ENABLED=0") {
		e.t.Errorf("the binary is not static: %v\n%s", err, out)
	}
}

func (e *engine) checkConfig(image string) {
	e.t.Helper()
	var found []struct {
		Config struct {
			User, StopSignal string
			ExposedPorts     map[string]any
			Volumes          map[string]any
			Labels           map[string]string
		}
		HealthCheck struct{ Test []string }
	}
	if err := json.Unmarshal([]byte(e.must("image", "inspect", image)), &found); err != nil {
		e.t.Fatal(err)
	}
	c := found[0].Config
	if c.User != "65532:65532" || c.StopSignal != "SIGTERM" || len(c.ExposedPorts) != 3 || c.Volumes["/data"] == nil {
		e.t.Errorf("configuration %+v", c)
	}
	if got := fmt.Sprint(found[0].HealthCheck.Test); got != "[CMD /gateway health]" {
		e.t.Errorf("health check %s", got)
	}
	if l := c.Labels; l["org.opencontainers.image.version"] != "v1.2.3" || l["org.opencontainers.image.revision"] != "abcdef" {
		e.t.Errorf("labels %v", l)
	}
}

// checkProcess looks at the running gateway as the kernel sees it.
func (c *container) checkProcess() {
	c.t.Helper()
	pid := c.must("inspect", "--format", "{{.State.Pid}}", c.name)
	status := string(mustRead(c.t, "/proc/"+pid+"/status"))
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			c.t.Errorf("%q is not in the status of the process:\n%s", want, status)
		}
	}
	if mounts := string(mustRead(c.t, "/proc/"+pid+"/mountinfo")); !strings.Contains(mounts, " / / ro,") {
		c.t.Errorf("the root file system is not read-only:\n%s", mounts)
	}
}
