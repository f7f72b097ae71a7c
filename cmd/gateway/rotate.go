package main

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// rotation puts secrets in force while the gateway runs, as the files that they stand
// in change. It is safe for concurrent use.
type rotation struct {
	files *rereader
	live  atomic.Pointer[settings] // those of the start with the secrets of now; never changed in place
	apply map[string]func(*settings) error
}

// newRotation begins with s, in which all secrets have been found.
func newRotation(s *settings, log *slog.Logger, reg prometheus.Registerer) *rotation {
	r := &rotation{files: newRereader(log, reg), apply: make(map[string]func(*settings) error)}
	start := *s
	r.live.Store(&start)
	return r
}

// onChange has apply called with the settings when a secret named (without envPrefix)
// has changed. Call it before watch.
func (r *rotation) onChange(apply func(*settings) error, names ...string) {
	for _, name := range names {
		r.apply[envPrefix+name] = apply
	}
}

// watch looks at the files that hold secrets from now on.
func (r *rotation) watch() {
	for _, file := range r.live.Load().secretFiles {
		if isPipe(file.path) {
			continue // read once and gone
		}
		r.files.watch(&watchedFiles{
			settings: file.variable + fileSuffix,
			paths:    []string{file.path},
			use:      func(contents [][]byte) ([]any, error) { return r.use(file, contents[0]) },
		})
	}
}

// use checks a secret as at the start of the gateway, with the same words, and puts it
// in force.
func (r *rotation) use(file secretFile, content []byte) ([]any, error) {
	text, err := trimSecret(content)
	if err != nil {
		return nil, fmt.Errorf("%q %w", file.path, err)
	}
	old := r.live.Load()
	next := *old
	field := next.variable(file.variable)
	field.fill(text)
	if wrong := next.check(nil).about(strings.TrimPrefix(file.variable, envPrefix)); len(wrong) > 0 {
		return nil, wrong
	}
	if reflect.DeepEqual(field.field.Interface(), old.variable(file.variable).field.Interface()) {
		return nil, nil
	}
	r.live.Store(&next) // first, for who is made to connect again by apply
	if apply := r.apply[file.variable]; apply != nil {
		if err := apply(&next); err != nil {
			r.live.Store(old)
			return nil, err
		}
	}
	return []any{"live", field.entries()}, nil
}

// toLogIn returns what a connection to NATS logs in with, at each connect anew; nil
// where it logs in with no such secret.
func (r *rotation) toLogIn(from func(*settings) secret) func() string {
	if !from(r.live.Load()).set() {
		return nil
	}
	return func() string { return from(r.live.Load()).reveal() }
}

// adminToken returns the token that the admin listener asks for now.
func (r *rotation) adminToken() string { return r.live.Load().AdminToken.reveal() }
