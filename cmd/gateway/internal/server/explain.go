package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/postback-gateway/gateway/publish"
)

// variables has the environment variable of each field of [publish.Config]; it is empty
// for a field that no setting fills. Package publish knows only the fields.
type variables map[string]string

var clusterVariables = variables{
	"Servers":         "GATEWAY_NATS_URL",
	"InProcess":       "",
	"Creds":           "GATEWAY_NATS_CREDS",
	"NKey":            "GATEWAY_NATS_NKEY",
	"User":            "GATEWAY_NATS_USER",
	"Password":        "GATEWAY_NATS_PASSWORD",
	"Token":           "GATEWAY_NATS_TOKEN",
	"CA":              "GATEWAY_NATS_CA",
	"Cert":            "GATEWAY_NATS_CERT",
	"Key":             "GATEWAY_NATS_KEY",
	"Secret":          "",
	"Root":            "GATEWAY_SUBJECT_ROOT",
	"Partitions":      "GATEWAY_PARTITIONS",
	"Stream":          "GATEWAY_STREAM",
	"Replicas":        "GATEWAY_STREAM_REPLICAS",
	"MaxAge":          "GATEWAY_STREAM_MAX_AGE",
	"MaxBytes":        "GATEWAY_STREAM_MAX_BYTES",
	"DuplicateWindow": "GATEWAY_DUPLICATE_WINDOW",
	"AckTimeout":      "",
	"DataDir":         "GATEWAY_DATA_DIR",
	"Failed":          "",
	"Sync":            "GATEWAY_SYNC",
	"Check":           "",
	"Relayed":         "GATEWAY_RELAY",
	"Fallback":        "GATEWAY_FALLBACK",
	"StoreOther":      "GATEWAY_STORE_OTHER",
	"Forward":         "GATEWAY_FORWARD",
	"Tracer":          "",
	"ServerMetrics":   "",
}

var embeddedVariables = func() variables {
	v := maps.Clone(clusterVariables)
	v["Servers"], v["Token"] = "GATEWAY_EMBEDDED_LISTEN", "GATEWAY_EMBEDDED_TOKEN"
	return v
}()

// explain puts the variable before an error about a field.
func (v variables) explain(err error) error {
	var wrong *publish.ConfigError
	if errors.As(err, &wrong) && v[wrong.Field] != "" {
		return fmt.Errorf("%s: %w", v[wrong.Field], err)
	}
	return err
}

// logger returns a logger that explains the errors in its lines.
func (v variables) logger(log *slog.Logger) *slog.Logger {
	return slog.New(explainHandler{log.Handler(), v})
}

type explainHandler struct {
	slog.Handler
	variables variables
}

// Handle implements [slog.Handler].
func (h explainHandler) Handle(ctx context.Context, r slog.Record) error {
	explained := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.AnyValue(h.variables.explain(err))
		}
		explained.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, explained)
}

// WithAttrs implements [slog.Handler].
func (h explainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return explainHandler{h.Handler.WithAttrs(attrs), h.variables}
}

// WithGroup implements [slog.Handler].
func (h explainHandler) WithGroup(name string) slog.Handler {
	return explainHandler{h.Handler.WithGroup(name), h.variables}
}
