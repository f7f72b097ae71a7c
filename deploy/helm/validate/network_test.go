package validate

import (
	"slices"
	"strconv"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
)

// Profiles of the process are on the operator's listener.
func TestOnlyMonitoringReachesTheOperatorsListener(t *testing.T) {
	for set, want := range map[string]string{"minimal": "monitoring", "cluster": "monitoring", "everything": "observability"} {
		m := render(t, set, "networkPolicy: {extraIngress: []}")
		found := 0
		for _, rule := range one[*networking.NetworkPolicy](t, m).Spec.Ingress {
			if len(rule.Ports) == 0 {
				t.Errorf("%s: a rule opens every port", set)
			}
			for _, port := range rule.Ports {
				if port.Port.IntValue() != 8081 {
					continue
				}
				found++
				if len(rule.From) != 1 || rule.From[0].NamespaceSelector == nil || rule.From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != want {
					t.Errorf("%s: port 8081 is open for %+v, want the namespace %s alone", set, rule.From, want)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: %d rules open port 8081, want 1", set, found)
		}
		for _, s := range of[*core.Service](m) {
			for _, p := range s.Spec.Ports {
				if p.TargetPort.String() == "admin" && s.Spec.ClusterIP != core.ClusterIPNone {
					t.Errorf("%s: Service %s gives the operator's listener an address", set, s.Name)
				}
			}
		}
	}
}

func TestEgressFollowsTheURLs(t *testing.T) {
	tests := []struct {
		set, more string
		want      []string
	}{
		{"minimal", "", []string{"53", "53"}},
		{"cluster", "", []string{"53", "53", "4222"}},
		{"relay", "", []string{"53", "53", "4222"}},
		{"everything", "networkPolicy: {extraEgress: []}", []string{"53", "53", "443", "8443"}},
		{"cluster", `nats: {urls: ["nats://a", "ws://b", "tls://[2001:db8::1]:5222"]}`, []string{"53", "53", "4222", "80", "5222"}},
		{"cluster", "networkPolicy: {natsPorts: [6222]}", []string{"53", "53", "6222"}},
	}
	for _, test := range tests {
		var got []string
		for _, rule := range one[*networking.NetworkPolicy](t, render(t, test.set, test.more)).Spec.Egress {
			for _, port := range rule.Ports {
				got = append(got, port.Port.String())
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s with %q: got %q, want %q", test.set, test.more, got, test.want)
		}
	}
}

func scrapePath(t *testing.T, m manifests) string {
	t.Helper()
	return one[*monitoring.ServiceMonitor](t, m).Spec.Endpoints[0].Path
}

// The monitor finds the operator's listener, and only that.
func TestServiceMonitor(t *testing.T) {
	m := render(t, "everything", "")
	monitor := one[*monitoring.ServiceMonitor](t, m)
	var found []string
	for _, s := range of[*core.Service](m) {
		if !selects(t, &monitor.Spec.Selector, s.Labels) {
			continue
		}
		for _, p := range s.Spec.Ports {
			found = append(found, s.Name+" "+p.TargetPort.String())
			if p.Name != monitor.Spec.Endpoints[0].Port {
				t.Errorf("the monitor wants the port %s of Service %s, which has %s", monitor.Spec.Endpoints[0].Port, s.Name, p.Name)
			}
		}
	}
	if want := []string{"hooks-metrics admin"}; !slices.Equal(found, want) {
		t.Errorf("the monitor scrapes %q, want %q", found, want)
	}
	if got := monitor.Labels["release"]; got != "kube-prometheus-stack" {
		t.Errorf("got the label release=%q", got)
	}
}

// webhookPaths are those of the Ingress and the HTTPRoute, whose backends have to
// be the Service of the webhook.
func webhookPaths(t *testing.T, m manifests) []string {
	t.Helper()
	var paths []string
	for _, rule := range one[*networking.Ingress](t, m).Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			paths = append(paths, path.Path)
		}
	}
	for _, rule := range one[*gatewayapi.HTTPRoute](t, m).Spec.Rules {
		for _, match := range rule.Matches {
			paths = append(paths, *match.Path.Value)
		}
	}
	return paths
}

func TestRoutesLeadToTheWebhook(t *testing.T) {
	m := render(t, "everything", "")
	ports := map[string]string{}
	for _, s := range of[*core.Service](m) {
		for _, p := range s.Spec.Ports {
			ports[s.Name+":"+p.Name] = p.TargetPort.String()
			ports[s.Name+":"+strconv.Itoa(int(p.Port))] = p.TargetPort.String()
		}
	}
	for _, rule := range one[*networking.Ingress](t, m).Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			if to := path.Backend.Service; ports[to.Name+":"+to.Port.Name] != "webhook" {
				t.Errorf("the Ingress leads to %+v", to)
			}
		}
	}
	for _, rule := range one[*gatewayapi.HTTPRoute](t, m).Spec.Rules {
		for _, to := range rule.BackendRefs {
			if ports[string(to.Name)+":"+strconv.Itoa(int(*to.Port))] != "webhook" {
				t.Errorf("the HTTPRoute leads to %+v", to)
			}
		}
	}
	for _, path := range webhookPaths(t, m) {
		if path != "/webhooks" {
			t.Errorf("%s is public: expected nothing but /webhooks", path)
		}
	}
}
