package validate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is what every type of Kubernetes has.
type object interface {
	meta.Object
}

// kinds makes an object of each kind that the chart may render, by its
// apiVersion and kind.
var kinds = map[string]func() object{
	"v1 ConfigMap":                            func() object { return new(core.ConfigMap) },
	"v1 Secret":                               func() object { return new(core.Secret) },
	"v1 Service":                              func() object { return new(core.Service) },
	"v1 ServiceAccount":                       func() object { return new(core.ServiceAccount) },
	"apps/v1 Deployment":                      func() object { return new(apps.Deployment) },
	"apps/v1 StatefulSet":                     func() object { return new(apps.StatefulSet) },
	"autoscaling/v2 HorizontalPodAutoscaler":  func() object { return new(autoscaling.HorizontalPodAutoscaler) },
	"policy/v1 PodDisruptionBudget":           func() object { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1 Ingress":            func() object { return new(networking.Ingress) },
	"networking.k8s.io/v1 NetworkPolicy":      func() object { return new(networking.NetworkPolicy) },
	"gateway.networking.k8s.io/v1 HTTPRoute":  func() object { return new(gatewayapi.HTTPRoute) },
	"monitoring.coreos.com/v1 ServiceMonitor": func() object { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1 PrometheusRule": func() object { return new(monitoring.PrometheusRule) },
}

// manifest is one rendered object.
type manifest struct {
	kind   string
	object object
	text   string
}

type manifests []manifest

// decode takes the output of helm template apart. A field that a type does not
// have, one that is there twice and a value of the wrong type end the test: a
// cluster would drop the first without a word.
func decode(t *testing.T, output string) manifests {
	t.Helper()
	var all manifests
	for documents := utilyaml.NewYAMLReader(newReader(output)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if m, ok := decodeOne(t, document); ok {
			all = append(all, m)
		}
	}
}

func decodeOne(t *testing.T, document []byte) (manifest, bool) {
	t.Helper()
	var head meta.TypeMeta
	if err := yaml.Unmarshal(document, &head); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if head.Kind == "" && len(bytes.TrimSpace(withoutComments(document))) == 0 {
		return manifest{}, false
	}
	newObject, known := kinds[head.APIVersion+" "+head.Kind]
	if !known {
		t.Fatalf("apiVersion %q and kind %q are not among the kinds of this test:\n%s", head.APIVersion, head.Kind, document)
	}
	o := newObject()
	if err := unmarshal(document, o); err != nil {
		t.Fatalf("%s: %v\n%s", head.Kind, err, document)
	}
	return manifest{head.Kind, o, string(document)}, true
}

// unmarshal decodes as a server does with --validate=strict. The Unmarshal of the
// yaml package is not that strict: it makes a string of a number where the type
// has a string.
func unmarshal(document []byte, into any) error {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	strict, err := json.UnmarshalStrict(text, into)
	return errors.Join(append(strict, err)...)
}

func of[T object](all manifests) []T {
	var found []T
	for _, m := range all {
		if o, ok := m.object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// one returns the only object of its type.
func one[T object](t *testing.T, all manifests) T {
	t.Helper()
	found := of[T](all)
	if len(found) != 1 {
		var none T
		t.Fatalf("found %d objects of type %T: expected 1", len(found), none)
	}
	return found[0]
}

func (m manifests) statefulSets() []*apps.StatefulSet { return of[*apps.StatefulSet](m) }

// workload is what the two sorts of workloads have in common.
type workload struct {
	kind, name string
	replicas   *int32
	selector   *meta.LabelSelector
	pod        core.PodTemplateSpec
}

func (m manifests) workload(t *testing.T) workload {
	t.Helper()
	var all []workload
	for _, d := range of[*apps.Deployment](m) {
		all = append(all, workload{"Deployment", d.Name, d.Spec.Replicas, d.Spec.Selector, d.Spec.Template})
	}
	for _, s := range m.statefulSets() {
		all = append(all, workload{"StatefulSet", s.Name, s.Spec.Replicas, s.Spec.Selector, s.Spec.Template})
	}
	if len(all) != 1 {
		t.Fatalf("found %d workloads: expected 1", len(all))
	}
	return all[0]
}

func (w workload) container(t *testing.T) core.Container {
	t.Helper()
	if len(w.pod.Spec.Containers) != 1 {
		t.Fatalf("found %d containers: expected 1", len(w.pod.Spec.Containers))
	}
	return w.pod.Spec.Containers[0]
}

// environment is what the gateway is given: the ConfigMap, and what the
// container has beside it.
func (m manifests) environment(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	c := m.workload(t).container(t)
	for _, from := range c.EnvFrom {
		config := one[*core.ConfigMap](t, m)
		if from.ConfigMapRef == nil || from.ConfigMapRef.Name != config.Name {
			t.Fatalf("envFrom %+v is not the ConfigMap %s", from, config.Name)
		}
		for name, value := range config.Data {
			env[name] = value
		}
	}
	for _, v := range c.Env {
		if _, twice := env[v.Name]; twice {
			t.Errorf("%s is given twice", v.Name)
		}
		env[v.Name] = v.Value
	}
	return env
}

func newReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

func withoutComments(document []byte) []byte {
	var kept []string
	for line := range strings.Lines(string(document)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") && strings.TrimSpace(line) != "---" {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

func TestEverySetIsStrictlyValid(t *testing.T) {
	kindsSeen := make(chan string, 1000)
	t.Run("sets", func(t *testing.T) {
		forEachSet(t, func(t *testing.T, m manifests) {
			for _, one := range m {
				kindsSeen <- one.kind
				if one.object.GetName() == "" || one.object.GetNamespace() != "" {
					t.Errorf("%s %q in namespace %q: expected a name, and no namespace but the release's", one.kind, one.object.GetName(), one.object.GetNamespace())
				}
			}
		})
	})
	close(kindsSeen)
	seen := map[string]bool{}
	for kind := range kindsSeen {
		seen[kind] = true
	}
	if len(seen) != len(kinds) {
		t.Errorf("the sets render %d kinds %v: expected all %d of the chart", len(seen), seen, len(kinds))
	}
}

// The strict decoding itself is what every other test stands on.
func TestDecodingIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"unknown field": "apiVersion: v1\nkind: Service\nspec: {port: [{port: 80}]}",
		"twice":         "apiVersion: v1\nkind: Service\nspec: {type: NodePort, type: ClusterIP}",
		"wrong type":    "apiVersion: v1\nkind: ConfigMap\ndata: {A: 1}",
	} {
		var o object = new(core.Service)
		if name == "wrong type" {
			o = new(core.ConfigMap)
		}
		if err := unmarshal([]byte(text), o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
