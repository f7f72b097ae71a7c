//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

func names(seats []seat) (all []string) {
	for _, s := range seats {
		all = append(all, s.name)
	}
	return all
}

func TestSeats(t *testing.T) {
	all := scenarios(false)
	find := func(name string) *scenario {
		return &all[slices.IndexFunc(all, func(s scenario) bool { return s.name == name })]
	}
	alone, both := &builds{gateway: "new"}, &builds{gateway: "new", base: "old", baseEnv: []string{"GOGC=400"}}
	for _, test := range []struct {
		scenario string
		builds   *builds
		want     string
	}{
		{"interval", alone, "bare handler; gateway; gateway again"},
		{"sync", alone, "always; interval; group; group again"},
		{"interval", both, "base; base again; gateway"},
		{"million", alone, "gateway, an empty window; gateway, 1,000,000 ids"},
		{"million", both, "base, an empty window; gateway, an empty window; base, 1,000,000 ids; gateway, 1,000,000 ids"},
	} {
		s := find(test.scenario)
		seats := s.seats(test.builds, s.shapes)
		if got := strings.Join(names(seats), "; "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.scenario, got, test.want)
		}
		for _, one := range seats {
			wantBinary := "new"
			if strings.HasPrefix(one.name, "base") {
				wantBinary = "old"
			}
			if one.kind == kindGateway && one.binary != wantBinary || one.kind != kindGateway && one.binary != "" {
				t.Errorf("%s: seat %s has binary %q", test.scenario, one.name, one.binary)
			}
			if one.binary == "old" && !slices.Equal(one.env, both.baseEnv) {
				t.Errorf("%s: seat %s has settings %q", test.scenario, one.name, one.env)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	chosen, err := choose(scenarios(false), "group,interval")
	if err != nil || len(chosen) != 2 || chosen[0].name != "interval" {
		t.Errorf("got %v, %v", chosen, err)
	}
	if all, err := choose(scenarios(false), ""); err != nil || len(all) != len(scenarios(false)) {
		t.Errorf("without names: %d, %v", len(all), err)
	}
	if _, err := choose(scenarios(true), smoke); err != nil {
		t.Error(err)
	}
	if _, err := choose(scenarios(false), "interval,no"); err == nil || !strings.Contains(err.Error(), `"no"`) || !strings.Contains(err.Error(), "overload-group") {
		t.Errorf("unknown name: got %v", err)
	}
}
