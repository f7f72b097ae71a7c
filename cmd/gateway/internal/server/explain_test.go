package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
	"github.com/postback-gateway/gateway/ingest"
	"github.com/postback-gateway/gateway/publish"
)

// TestEveryFieldHasAVariable: an error about a field that a setting fills can name it.
func TestEveryFieldHasAVariable(t *testing.T) {
	known := []string{""}
	for _, row := range new(settings.Settings).Table() {
		known = append(known, row.Name)
	}
	config := reflect.TypeFor[publish.Config]()
	for _, names := range []variables{clusterVariables, embeddedVariables} {
		fields := 0
		for _, field := range reflect.VisibleFields(config) {
			if !field.IsExported() || field.Anonymous {
				continue
			}
			fields++
			if name, ok := names[field.Name]; !ok || !slices.Contains(known, name) {
				t.Errorf("field %s: %q is not the name of a setting", field.Name, name)
			}
		}
		if len(names) != fields {
			t.Errorf("%d variables for %d fields", len(names), fields)
		}
	}
}

func TestExplain(t *testing.T) {
	field := func(name string) error {
		return fmt.Errorf("login: %w", &publish.ConfigError{Field: name, Err: errors.New("no such file")})
	}
	for _, test := range []struct {
		names variables
		err   error
		want  string
	}{
		{clusterVariables, field("Creds"), "GATEWAY_NATS_CREDS: login: no such file"},
		{clusterVariables, field("Token"), "GATEWAY_NATS_TOKEN: login: no such file"},
		{embeddedVariables, field("Token"), "GATEWAY_EMBEDDED_TOKEN: login: no such file"},
		{clusterVariables, field("Tracer"), "login: no such file"},
		{clusterVariables, field("Other"), "login: no such file"},
		{clusterVariables, errors.New("not about a field"), "not about a field"},
	} {
		got := test.names.explain(test.err)
		if got.Error() != test.want || !errors.Is(got, test.err) {
			t.Errorf("got %v, want %s", got, test.want)
		}
	}
	if err := clusterVariables.explain(nil); err != nil {
		t.Errorf("got %v of no error", err)
	}
	var log bytes.Buffer
	clusterVariables.logger(slog.New(slog.NewTextHandler(&log, nil))).With("a", 1).Warn("not connected", "error", field("CA"), "n", 2)
	if want := ` level=WARN msg="not connected" a=1 error="GATEWAY_NATS_CA: login: no such file" n=2` + "\n"; !strings.HasSuffix(log.String(), want) {
		t.Errorf("logged %s, want %s", log.String(), want)
	}
}

// TestLargestBody: the bound of the setting is that of package ingest.
func TestLargestBody(t *testing.T) {
	for n, good := range map[int64]bool{ingest.LargestBody: true, ingest.LargestBody + 1: false} {
		settingstest.Set(t, settingstest.Env("MAX_BODY_BYTES", fmt.Sprint(n)))
		if _, err := settings.Load(); (err == nil) != good {
			t.Errorf("%d: %v", n, err)
		}
	}
}
