package validate

import (
	"testing"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// The namespace may enforce the restricted profile of the Pod Security Standards:
// its own rules are asked.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	forEachSet(t, func(t *testing.T, m manifests) {
		pod := m.workload(t).pod
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		if !result.Allowed {
			t.Errorf("the restricted profile forbids the pod: %s", result.ForbiddenDetail())
		}
	})
}

// What the profile does not ask for.
func TestPodsHaveNothingToSpare(t *testing.T) {
	forEachSet(t, func(t *testing.T, m manifests) {
		spec, container := m.workload(t).pod.Spec, containerOf(t, m)
		if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
			t.Error("the pod gets a token of its ServiceAccount")
		}
		if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
			t.Error("the pod gets the variables of every Service")
		}
		if context := container.SecurityContext; context == nil || context.ReadOnlyRootFilesystem == nil || !*context.ReadOnlyRootFilesystem {
			t.Error("the root filesystem can be written")
		}
		if container.Resources.Limits.Memory().IsZero() {
			t.Error("the container has no limit of memory")
		}
		for _, volume := range spec.Volumes {
			if volume.Secret != nil && (volume.Secret.DefaultMode == nil || *volume.Secret.DefaultMode&0o007 != 0) {
				t.Errorf("every user can read the files of %s", volume.Name)
			}
		}
	})
}
