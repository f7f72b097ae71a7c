package validate

import (
	"strings"
	"testing"
)

// Values that make no working gateway are refused, by a message that says what
// to do. Those of one case are given beside the set's.
func TestRefused(t *testing.T) {
	const notTogether = "these values do not go together:"
	tests := []struct {
		name, set, more string
		want            []string
	}{
		{"embedded twice", "minimal", "replicas: 2",
			[]string{notTogether, "replicas: 2 with mode embedded: expected 1, because each pod would have a stream of its own; use mode cluster, or relay"}},
		{"cluster without servers", "cluster", "nats: {urls: []}",
			[]string{"nats.urls is empty with mode cluster: expected servers like nats://nats.nats.svc:4222"}},
		{"relay without servers", "relay", "nats: {urls: []}",
			[]string{"nats.urls is empty with mode relay"}},
		{"cluster without secrets", "minimal", "{mode: cluster, nats: {urls: [nats://a]}}",
			[]string{"the secret META_APP_SECRETS is not given: expected secrets.existingSecret with secrets.keys.META_APP_SECRETS, or secrets.values.META_APP_SECRETS", "the secret META_VERIFY_TOKEN is not given"}},
		{"one of the secrets", "cluster", `secrets: {keys: {META_VERIFY_TOKEN: ""}}`,
			[]string{"the secret META_VERIFY_TOKEN is not given"}},
		{"relays with secrets of their own", "minimal", "{mode: relay, nats: {urls: [nats://a]}}",
			[]string{"the secret META_APP_SECRETS is not given"}},
		{"servers without effect", "minimal", "nats: {urls: [nats://a]}",
			[]string{"nats.urls has no effect with mode embedded: expected mode cluster or relay"}},
		{"credentials without effect", "minimal", "nats: {creds: {secretName: a}, ca: {secretName: b}, clientCert: {secretName: c}}",
			[]string{"nats.creds.secretName has no effect", "nats.ca has no effect", "nats.clientCert.secretName has no effect"}},
		{"a password without effect", "embedded", "secrets: {values: {NATS_PASSWORD: hunter2}}",
			[]string{"the secret NATS_PASSWORD has no effect with mode embedded"}},
		{"autoscaled relay", "relay", "autoscaling: {enabled: true}",
			[]string{"autoscaling.enabled with mode relay: expected mode cluster, because a pod that is taken away leaves events on its volume"}},
		{"autoscaling upside down", "cluster", "autoscaling: {enabled: true, minReplicas: 7}",
			[]string{"autoscaling.minReplicas: 7 is more than autoscaling.maxReplicas, which is 6"}},
		{"secrets twice", "relay", "secrets: {values: {META_APP_SECRETS: hunter2}}",
			[]string{"secrets.values.META_APP_SECRETS with secrets.existingSecret: expected one of them"}},
		{"open without a token", "minimal", "consumers: {enabled: true}",
			[]string{"consumers.enabled without the secret EMBEDDED_TOKEN"}},
		{"consumers elsewhere", "relay", "{consumers: {enabled: true}, secrets: {keys: {EMBEDDED_TOKEN: t}}}",
			[]string{"consumers.enabled with mode relay: expected mode embedded; consumers read from nats.urls"}},
		{"two logins", "cluster", "nats: {creds: {secretName: a}}",
			[]string{"nats.creds.secretName, nats.user are more than one way to log in to NATS: expected one"}},
		{"user without password", "cluster", `secrets: {keys: {NATS_PASSWORD: ""}}`,
			[]string{"nats.user and the secret NATS_PASSWORD belong together"}},
		{"password without user", "cluster", `nats: {user: ""}`,
			[]string{"nats.user and the secret NATS_PASSWORD belong together"}},
		{"a login in a URL", "cluster", `nats: {urls: ["nats://a:4222", "nats://gateway:hunter2@b:4222"]}`,
			[]string{"nats.urls[1] holds a login: expected nats.user and the secret NATS_PASSWORD"}},
		{"a login in the collector's URL", "cluster", `settings: {OTLP_ENDPOINT: "http://a:hunter2@b"}`,
			[]string{"settings.OTLP_ENDPOINT holds a login"}},
		{"authorities twice", "relay", "{nats: {ca: {secretName: a}}, tls: {secretName: t, clientCA: {secretName: a, configMapName: b}}}",
			[]string{"nats.ca.secretName and nats.ca.configMapName: expected one", "tls.clientCA.secretName and tls.clientCA.configMapName: expected one"}},
		{"authorities for nothing", "cluster", "tls: {clientCA: {secretName: a}}",
			[]string{"tls.clientCA has no effect without tls.secretName"}},
		{"an Ingress for all hosts", "cluster", "ingress: {enabled: true}",
			[]string{"ingress.enabled without ingress.hosts"}},
		{"a route from and for nowhere", "cluster", "httpRoute: {enabled: true}",
			[]string{"httpRoute.enabled without httpRoute.parentRefs", "httpRoute.enabled without httpRoute.hostnames"}},
		{"a setting twice", "cluster", "extraEnv: [{name: GATEWAY_LOG_LEVEL, value: debug}, {name: GATEWAY_META_APP_SECRETS_FILE, value: /x}, {name: GATEWAY_DATA_DIR, value: /x}]",
			[]string{"extraEnv has GATEWAY_LOG_LEVEL: expected it to be set by the value that the chart has for it", "extraEnv has GATEWAY_META_APP_SECRETS_FILE", "extraEnv has GATEWAY_DATA_DIR"}},

		{"misspelt", "minimal", "replica: 1", []string{"additional properties 'replica' not allowed"}},
		{"misspelt setting", "minimal", "settings: {STREAM_MAXAGE: 1h}", []string{"additional properties 'STREAM_MAXAGE' not allowed"}},
		{"a secret as a setting", "minimal", "settings: {META_APP_SECRETS: hunter2}", []string{"additional properties 'META_APP_SECRETS' not allowed"}},
		{"no mode", "minimal", "mode: standalone", []string{"/mode", "value must be one of 'embedded', 'cluster', 'relay'"}},
		{"no pods", "minimal", "replicas: 0", []string{"/replicas"}},
		{"no duration", "minimal", "settings: {STREAM_MAX_AGE: 7d}", []string{"/settings/STREAM_MAX_AGE"}},
		{"no number", "minimal", "settings: {MAX_IN_FLIGHT: many}", []string{"/settings/MAX_IN_FLIGHT"}},
		{"no server", "minimal", "nats: {urls: [\"http://a\"]}", []string{"/nats/urls/0"}},
		{"two servers in one", "minimal", "nats: {urls: [\"nats://a,nats://b\"]}", []string{"/nats/urls/0"}},
		{"no digest", "minimal", "image: {digest: latest}", []string{"/image/digest"}},
		{"shared volume", "minimal", "persistence: {accessModes: [ReadWriteMany]}", []string{"/persistence/accessModes/0"}},
		{"label of a selector", "minimal", "podLabels: {app.kubernetes.io/name: mine}", []string{"/podLabels"}},
		{"metrics for everybody", "minimal", `networkPolicy: {monitoringNamespace: ""}`, []string{"/networkPolicy/monitoringNamespace"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, valueFile(test.set), test.more)
			if err == nil {
				t.Fatalf("values-%s.yaml with %q was accepted", test.set, test.more)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got:\n%v\nwant: %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message shows a secret: %v", err)
			}
		})
	}
}

// What looks like the cases above and is right.
func TestAccepted(t *testing.T) {
	tests := []struct{ name, set, more string }{
		{"one relay with its own secrets", "minimal", "{mode: relay, replicas: 1, nats: {urls: [nats://a]}}"},
		{"a cluster with secrets of the chart", "minimal", "{mode: cluster, nats: {urls: [nats://a]}, secrets: {values: {META_APP_SECRETS: a, META_VERIFY_TOKEN: b}}}"},
		{"a token for NATS", "minimal", "{mode: cluster, nats: {urls: [nats://a]}, secrets: {existingSecret: s, keys: {NATS_TOKEN: t}}}"},
		{"a variable of the next version", "cluster", "extraEnv: [{name: GATEWAY_OF_THE_NEXT_VERSION, value: x}]"},
		{"a claim of one and a half TiB", "minimal", "persistence: {size: 1.5Ti, storageClass: fast-1}"},
		{"identities of OpenShift's own", "minimal", "podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}"},
		{"nothing extra", "minimal", "{resources: null, podSecurityContext: null, securityContext: null, extraEnv: null, topologySpread: {nodes: \"\", zones: \"\"}, networkPolicy: {enabled: false}, serviceAccount: {create: false}}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if len(render(t, test.set, test.more)) < 4 {
				t.Error("next to nothing was rendered")
			}
		})
	}
}
