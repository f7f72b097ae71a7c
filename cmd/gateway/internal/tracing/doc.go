// Package tracing sends spans to a collector with OTLP over HTTP. A collector that does
// not respond delays no delivery.
package tracing
