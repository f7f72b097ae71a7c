package validate

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

func selects(t *testing.T, s *meta.LabelSelector, set map[string]string) bool {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return !selector.Empty() && selector.Matches(labels.Set(set))
}

// Everything that selects pods selects the gateway's, and not those of another
// release of this chart.
func TestSelectors(t *testing.T) {
	forEachSet(t, func(t *testing.T, m manifests) {
		w := m.workload(t)
		all := map[string]*meta.LabelSelector{w.kind: w.selector}
		for _, s := range of[*core.Service](m) {
			all["Service "+s.Name] = &meta.LabelSelector{MatchLabels: s.Spec.Selector}
		}
		for _, p := range of[*networking.NetworkPolicy](m) {
			all["NetworkPolicy"] = &p.Spec.PodSelector
		}
		for _, p := range of[*policy.PodDisruptionBudget](m) {
			all["PodDisruptionBudget"] = p.Spec.Selector
		}
		for _, c := range w.pod.Spec.TopologySpreadConstraints {
			all["spread over "+c.TopologyKey] = c.LabelSelector
		}
		other := map[string]string{}
		for key, value := range w.pod.Labels {
			other[key] = value
		}
		other["app.kubernetes.io/instance"] = "another"
		for what, selector := range all {
			if !selects(t, selector, w.pod.Labels) {
				t.Errorf("the selector of %s does not select the pods: %v, %v", what, selector, w.pod.Labels)
			}
			if selects(t, selector, other) {
				t.Errorf("the selector of %s selects the pods of another release: %v", what, selector)
			}
		}
	})
}

func TestEveryPortIsOneOfTheContainer(t *testing.T) {
	forEachSet(t, func(t *testing.T, m manifests) {
		container, env := containerOf(t, m), m.environment(t)
		ports := map[string]int32{}
		for _, p := range container.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for name, variable := range map[string]string{"webhook": "GATEWAY_LISTEN", "admin": "GATEWAY_ADMIN_LISTEN", "nats": "GATEWAY_EMBEDDED_LISTEN"} {
			if port, there := ports[name]; there && env[variable] != ":"+strconv.Itoa(int(port)) {
				t.Errorf("port %s is %d and %s is %q", name, port, variable, env[variable])
			}
		}
		for _, s := range of[*core.Service](m) {
			for _, p := range s.Spec.Ports {
				if ports[p.TargetPort.String()] == 0 {
					t.Errorf("Service %s wants the port %q of a container that has %v", s.Name, p.TargetPort.String(), ports)
				}
			}
		}
		for _, probe := range []*core.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.String() != "admin" {
				t.Errorf("got the probe %+v, want one of the port admin", probe)
			}
		}
		open := map[string]bool{}
		for _, p := range of[*networking.NetworkPolicy](m) {
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					open[port.Port.String()] = true
				}
			}
		}
		for name, port := range ports {
			if !open[strconv.Itoa(int(port))] {
				t.Errorf("the NetworkPolicy opens %v, and not the port %s, %d", open, name, port)
			}
		}
	})
}

func TestEveryMountIsAVolume(t *testing.T) {
	forEachSet(t, func(t *testing.T, m manifests) {
		var volumes, mounts []string
		for _, v := range m.workload(t).pod.Spec.Volumes {
			volumes = append(volumes, v.Name)
		}
		for _, s := range m.statefulSets() {
			for _, claim := range s.Spec.VolumeClaimTemplates {
				volumes = append(volumes, claim.Name)
			}
		}
		for _, mount := range containerOf(t, m).VolumeMounts {
			mounts = append(mounts, mount.Name)
		}
		slices.Sort(volumes)
		slices.Sort(mounts)
		if !slices.Equal(volumes, mounts) {
			t.Errorf("volumes %q, mounts %q: expected the same", volumes, mounts)
		}
	})
}

// Secrets of type kubernetes.io/tls have keys of fixed names.
func TestCertificatesAreThoseOfTLSSecrets(t *testing.T) {
	env := render(t, "everything", "").environment(t)
	for name, key := range map[string]string{
		"GATEWAY_TLS_CERT": core.TLSCertKey, "GATEWAY_TLS_KEY": core.TLSPrivateKeyKey,
		"GATEWAY_NATS_CERT": core.TLSCertKey, "GATEWAY_NATS_KEY": core.TLSPrivateKeyKey,
	} {
		if path.Base(env[name]) != key {
			t.Errorf("%s is %q: expected the file %s", name, env[name], key)
		}
	}
}

func TestWorkloads(t *testing.T) {
	tests := []struct {
		set, more, kind string
		replicas        int32
		budget          bool
	}{
		{"minimal", "", "StatefulSet", 1, false},
		{"embedded", "", "StatefulSet", 1, false},
		{"relay", "", "StatefulSet", 2, true},
		{"relay", "replicas: 1", "StatefulSet", 1, false},
		{"cluster", "", "Deployment", 2, true},
		{"cluster", "replicas: 5", "Deployment", 5, true},
		{"cluster", "replicas: 1", "Deployment", 1, false},
		{"cluster", "podDisruptionBudget: {enabled: false}", "Deployment", 2, false},
	}
	for _, test := range tests {
		m := render(t, test.set, test.more)
		w := m.workload(t)
		if w.kind != test.kind || w.replicas == nil || *w.replicas != test.replicas {
			t.Errorf("%s %s: got a %s of %v, want a %s of %d", test.set, test.more, w.kind, w.replicas, test.kind, test.replicas)
		}
		if got := len(of[*policy.PodDisruptionBudget](m)) == 1; got != test.budget {
			t.Errorf("%s %s: has a budget: %v, want %v", test.set, test.more, got, test.budget)
		}
	}
}

// The autoscaler would be undone by every upgrade if the Deployment had a number.
func TestAutoscaling(t *testing.T) {
	m := render(t, "everything", "")
	w, target := m.workload(t), one[*autoscaling.HorizontalPodAutoscaler](t, m).Spec.ScaleTargetRef
	if w.replicas != nil || target.Kind != w.kind || target.Name != w.name || target.APIVersion != "apps/v1" {
		t.Errorf("a %s %s of %v replicas is scaled by what scales %+v", w.kind, w.name, w.replicas, target)
	}
	if requests := w.container(t).Resources.Requests; requests.Cpu().IsZero() {
		t.Error("no CPU is requested: the autoscaler has nothing to compare with")
	}
}

func TestVolumesOutliveTheRelease(t *testing.T) {
	for _, set := range []string{"minimal", "relay"} {
		m := render(t, set, "")
		s := m.statefulSets()[0]
		if p := s.Spec.PersistentVolumeClaimRetentionPolicy; p == nil || p.WhenDeleted != apps.RetainPersistentVolumeClaimRetentionPolicyType || p.WhenScaled != apps.RetainPersistentVolumeClaimRetentionPolicyType {
			t.Errorf("%s: got the retention policy %+v, want that volumes stay", set, p)
		}
		data := m.environment(t)["GATEWAY_DATA_DIR"]
		for _, mount := range containerOf(t, m).VolumeMounts {
			if mount.Name == "data" && !strings.HasPrefix(data, mount.MountPath+"/") {
				t.Errorf("%s: the data directory %s is not on the volume at %s", set, data, mount.MountPath)
			}
		}
		for key := range s.Spec.VolumeClaimTemplates[0].Labels {
			if strings.Contains(key, "version") || strings.Contains(key, "chart") {
				t.Errorf("%s: the claim's template has the label %s, which changes, and a template cannot", set, key)
			}
		}
		var services []string
		for _, service := range of[*core.Service](m) {
			if service.Spec.ClusterIP == core.ClusterIPNone {
				services = append(services, service.Name)
			}
		}
		if !slices.Contains(services, s.Spec.ServiceName) {
			t.Errorf("%s: serviceName is %q, headless Services are %q", set, s.Spec.ServiceName, services)
		}
	}
}

func TestGracePeriodHoldsTheShutdown(t *testing.T) {
	tests := map[string]struct {
		timeout string
		grace   int64
	}{
		"{}":                          {"20s", 30},
		"shutdownTimeoutSeconds: 120": {"120s", 130},
		"preStopSleepSeconds: 5":      {"20s", 35},
	}
	for more, want := range tests {
		m := render(t, "minimal", more)
		got := m.workload(t).pod.Spec.TerminationGracePeriodSeconds
		if timeout := m.environment(t)["GATEWAY_SHUTDOWN_TIMEOUT"]; timeout != want.timeout || got == nil || *got != want.grace {
			t.Errorf("%s: got %s and %v, want %s and %d", more, timeout, got, want.timeout, want.grace)
		}
		if sleeps := containerOf(t, m).Lifecycle != nil; sleeps != strings.HasPrefix(more, "preStop") {
			t.Errorf("%s: the container has a hook: %v", more, sleeps)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	for more, want := range map[string]string{
		"{}":                                   "966367641",
		"resources: {limits: {memory: 512Mi}}": "483183820",
		"resources: {limits: {memory: 1G}}":    "",
		"resources: null":                      "",
	} {
		if got := render(t, "minimal", more).environment(t)["GOMEMLIMIT"]; got != want {
			t.Errorf("%s: got GOMEMLIMIT=%q, want %q", more, got, want)
		}
	}
}

// Helm allows release names of 53 characters, and a label has 63.
func TestLongNamesFit(t *testing.T) {
	long := strings.Repeat("n", 53)
	out, err := helm(t, "", "template", long, chart, "--kube-version", kubeVersion, "--values", valueFile("embedded"))
	if err != nil {
		t.Fatal(err)
	}
	m := decode(t, out)
	names := map[string]bool{}
	for _, one := range m {
		name := one.object.GetName()
		if wrong := validation.IsDNS1123Label(name); wrong != nil {
			t.Errorf("%s %s: %v", one.kind, name, wrong)
		}
		if names[one.kind+name] {
			t.Errorf("there are two of %s %s", one.kind, name)
		}
		names[one.kind+name] = true
		for key, value := range one.object.GetLabels() {
			if wrong := validation.IsValidLabelValue(value); wrong != nil {
				t.Errorf("%s: label %s=%s: %v", one.kind, key, value, wrong)
			}
		}
	}
	// A StatefulSet labels its pods with its name and a hash of ten characters.
	if hash := m.workload(t).name + "-0123456789"; len(hash) > validation.LabelValueMaxLength {
		t.Errorf("%s has %d characters: expected at most %d", hash, len(hash), validation.LabelValueMaxLength)
	}
}

// Pods read their settings once: changed ones need new pods, and nothing else
// replaces them.
func TestChangedSettingsMakeNewPods(t *testing.T) {
	pods := func(more string) map[string]string {
		return render(t, "embedded", more).workload(t).pod.Annotations
	}
	before := pods("{}")
	if before["helm.sh/revision"] != "1" {
		t.Errorf("got the annotations %v: expected the revision where the chart makes the Secret", before)
	}
	if maps.Equal(before, pods("settings: {LOG_LEVEL: debug}")) {
		t.Error("changed settings leave the pods as they are")
	}
	if after := pods("{metrics: {serviceMonitor: {enabled: true}}, service: {port: 8443}}"); !maps.Equal(before, after) {
		t.Errorf("the pods are replaced for nothing: %v, before %v", after, before)
	}
}
