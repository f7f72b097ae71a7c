// Package server is the running gateway. It turns settings into the configurations of the
// parts, starts them in order, and stops them in reverse order: gateway.go has both.
//
//	listen.go, accept.go   the listeners
//	http.go, tls.go        the HTTP servers and their certificates; handshake.go logs TLS
//	                       handshakes that fail
//	ingest.go              settings → ingest.Config
//	store.go, embedded.go  settings → publish.Config, the embedded NATS server, the relay
//	explain.go             names the environment variable in errors of package publish
package server
