// Package admin is the admin listener for operators: metrics, health, readiness and
// profiles (net/http/pprof).
//
// server.go has the paths. access.go decides who may use them: on a loopback address
// every host that names it, elsewhere profiles need a token. readiness.go collects the
// checks of the other parts; metrics.go is the registry.
package admin
