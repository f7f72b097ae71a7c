package deploy

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// stack is what compose.yaml uses of the Compose Specification.
type stack struct {
	Name     string
	NATS     service `yaml:"x-nats"`
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Build struct {
		Context, Dockerfile string
		Args                map[string]string
	}
	Image           string
	Command         []string
	Environment     map[string]string
	Ports           []string
	Volumes         []string
	ReadOnly        bool          `yaml:"read_only"`
	CapDrop         []string      `yaml:"cap_drop"`
	SecurityOpt     []string      `yaml:"security_opt"`
	StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	Restart         string
	DependsOn       map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck     struct {
		Test        []string
		Interval    time.Duration
		Timeout     time.Duration
		Retries     int
		StartPeriod time.Duration `yaml:"start_period"`
	}
}

func mustStack(t *testing.T) *stack {
	t.Helper()
	s := new(stack)
	mustParse(t, "compose.yaml", s)
	return s
}

// interpolation is ${NAME:-default}, the one form that is used.
var interpolation = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

// environment returns what a service gets where the user has set nothing.
func (s service) environment() []string {
	var env []string
	for name, value := range s.Environment {
		env = append(env, name+"="+interpolation.ReplaceAllString(value, "$1"))
	}
	return env
}

// mounts returns the files of this directory that a service mounts, by their
// paths in the container, and the paths at which it mounts volumes, by their names.
func (s service) mounts() (files, volumes map[string]string) {
	files, volumes = map[string]string{}, map[string]string{}
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		if strings.HasPrefix(parts[0], ".") {
			files[parts[1]] = parts[0]
		} else {
			volumes[parts[0]] = parts[1]
		}
	}
	return files, volumes
}

// natsServers returns the names of the services that are servers of NATS.
func (s *stack) natsServers() []string {
	var names []string
	for name, one := range s.Services {
		if one.Image == s.NATS.Image {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestComposeSchema: testdata/compose-spec.json is the Compose Specification's, as
// it stands in github.com/compose-spec/compose-go v2.16.2.
func TestComposeSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/compose-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := yaml.Unmarshal(mustRead(t, "compose.yaml"), &document); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Error(err)
	}
}

func TestComposeMounts(t *testing.T) {
	s := mustStack(t)
	used := map[string]bool{}
	for name, one := range s.Services {
		files, volumes := one.mounts()
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s mounts %s, which compose would create as a directory: %v", name, file, err)
			}
		}
		for volume := range volumes {
			if _, declared := s.Volumes[volume]; !declared || used[volume] {
				t.Errorf("%s: the volume %s is not declared, or another service's", name, volume)
			}
			used[volume] = true
		}
	}
	if len(used) != len(s.Volumes) {
		t.Errorf("of the volumes %v only %v are used", s.Volumes, used)
	}
}

func TestComposeGateway(t *testing.T) {
	s := mustStack(t)
	gateway := s.Services["gateway"]
	if _, err := os.Stat(filepath.Join(gateway.Build.Context, gateway.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	dockerfile := string(mustRead(t, "Dockerfile"))
	for arg := range gateway.Build.Args {
		if !strings.Contains(dockerfile, "\nARG "+arg+"=") {
			t.Errorf("the Dockerfile has no ARG %s", arg)
		}
	}
	if _, volumes := gateway.mounts(); !strings.Contains(dockerfile, "\nVOLUME "+volumes["gateway"]+"\n") {
		t.Errorf("the volume is mounted at %q, and the Dockerfile has it elsewhere", volumes["gateway"])
	}
	mustBeSettings(t, append(gateway.environment(), "GATEWAY_DATA_DIR=/data"))
	if need := duration(t, "GATEWAY_SHUTDOWN_TIMEOUT"); gateway.StopGracePeriod <= need {
		t.Errorf("stop_grace_period is %s, expected more than GATEWAY_SHUTDOWN_TIMEOUT (%s)", gateway.StopGracePeriod, need)
	}
}

// TestComposePorts: what is published is there, once, and for this machine alone.
func TestComposePorts(t *testing.T) {
	s := mustStack(t)
	conf := mustNATSConfig(t)
	listens := map[string][]string{"prometheus": {"9090"}, "grafana": {"3000"}}
	expose := regexp.MustCompile(`(?m)^EXPOSE (.*)$`).FindSubmatch(mustRead(t, "Dockerfile"))
	if expose == nil {
		t.Fatal("the Dockerfile has no EXPOSE")
	}
	listens["gateway"] = strings.Fields(string(expose[1]))
	for _, name := range s.natsServers() {
		listens[name] = []string{fmt.Sprint(conf.Port)}
	}
	taken := map[string]string{}
	for name, one := range s.Services {
		for _, published := range one.Ports {
			parts := strings.Split(published, ":")
			if len(parts) != 3 || parts[0] != "127.0.0.1" || !slices.Contains(listens[name], parts[2]) {
				t.Errorf("%s publishes %s, expected 127.0.0.1 and one of its ports %v", name, published, listens[name])
				continue
			}
			if other, is := taken[parts[1]]; is {
				t.Errorf("%s and %s both publish port %s", name, other, parts[1])
			}
			taken[parts[1]] = name
		}
	}
}

func TestComposeNATS(t *testing.T) {
	s := mustStack(t)
	conf := mustNATSConfig(t)
	names := s.natsServers()
	if len(names) != 3 {
		t.Fatalf("servers of NATS: %v, expected three", names)
	}
	if want := "docker.io/library/nats:" + server.VERSION + "-alpine"; s.NATS.Image != want {
		t.Errorf("image %s, expected the version that the tests run with: %s", s.NATS.Image, want)
	}
	var urls, routes []string
	for _, name := range names {
		one := s.Services[name]
		urls = append(urls, fmt.Sprintf("nats://%s:%d", name, conf.Port))
		routes = append(routes, fmt.Sprintf("nats://%s:%d", name, conf.Cluster.Port))
		files, volumes := one.mounts()
		if want := []string{"--config", "/etc/nats/nats.conf", "--name", name, "--store_dir", volumes[name]}; !slices.Equal(one.Command, want) {
			t.Errorf("%s: command %q, expected %q", name, one.Command, want)
		}
		if files["/etc/nats/nats.conf"] != "./nats/nats.conf" || volumes[name] == "" {
			t.Errorf("%s: mounts %q, expected nats.conf and the volume %s", name, one.Volumes, name)
		}
		if s.Services["gateway"].DependsOn[name].Condition != "service_healthy" {
			t.Errorf("the gateway does not wait for %s", name)
		}
	}
	if got := s.Services["gateway"].Environment["GATEWAY_NATS_URL"]; got != strings.Join(urls, ",") {
		t.Errorf("GATEWAY_NATS_URL is %s, expected %v", got, urls)
	}
	var listed []string
	for _, route := range conf.Routes {
		listed = append(listed, route.String())
	}
	if !slices.Equal(listed, routes) {
		t.Errorf("routes %v, expected %v", listed, routes)
	}
	if !conf.JetStream || !conf.SyncAlways {
		t.Errorf("JetStream %t, sync always %t, expected both", conf.JetStream, conf.SyncAlways)
	}
}

func mustNATSConfig(t *testing.T) *server.Options {
	t.Helper()
	conf, err := server.ProcessConfigFile("nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// TestComposePrometheus: it scrapes the gateway where that listens, and has the rules.
func TestComposePrometheus(t *testing.T) {
	s := mustStack(t)
	var conf struct {
		Global struct {
			ScrapeInterval     time.Duration `yaml:"scrape_interval"`
			EvaluationInterval time.Duration `yaml:"evaluation_interval"`
		}
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	mustParse(t, "prometheus/prometheus.yml", &conf)
	files, _ := s.Services["prometheus"].mounts()
	if len(conf.RuleFiles) == 0 || files["/etc/prometheus/prometheus.yml"] != "./prometheus/prometheus.yml" {
		t.Errorf("rules %v, files %v", conf.RuleFiles, files)
	}
	for _, rules := range conf.RuleFiles {
		if files["/etc/prometheus/"+rules] != "./prometheus/"+rules {
			t.Errorf("%s is not mounted", rules)
		}
	}
	_, port, err := net.SplitHostPort(s.Services["gateway"].Environment["GATEWAY_ADMIN_LISTEN"])
	if err != nil {
		t.Fatal(err)
	}
	if got := conf.ScrapeConfigs[0].StaticConfigs[0].Targets; !slices.Equal(got, []string{"gateway:" + port}) {
		t.Errorf("targets %v, expected gateway:%s", got, port)
	}
}

// TestComposeGrafana: the data source is Prometheus, and the dashboard is where
// Grafana looks for it.
func TestComposeGrafana(t *testing.T) {
	s := mustStack(t)
	grafana := s.Services["grafana"]
	files, _ := grafana.mounts()
	if files["/etc/grafana/provisioning"] != "./grafana/provisioning" {
		t.Errorf("files %v", files)
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, UID, Access, URL string
			IsDefault                    bool              `yaml:"isDefault"`
			JSONData                     map[string]string `yaml:"jsonData"`
		}
	}
	mustParse(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	if d := sources.Datasources[0]; d.URL != "http://prometheus:9090" || d.Type != "prometheus" || !d.IsDefault {
		t.Errorf("data source %+v", d)
	}
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	mustParse(t, "grafana/provisioning/dashboards/postback-gateway.yml", &dashboards)
	path := dashboards.Providers[0].Options.Path + "/postback-gateway.json"
	if home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home != path {
		t.Errorf("the first page is %s, expected %s", home, path)
	}
	if !json.Valid(mustRead(t, files[path])) {
		t.Errorf("%s is no JSON", files[path])
	}
}
