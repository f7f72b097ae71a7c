package reload

import (
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

// Secrets are the settings with the secrets that are in use now. It is safe for
// concurrent use.
type Secrets struct {
	*Files
	current  atomic.Pointer[settings.Settings] // never changed in place
	onChange map[string]func(*settings.Settings) error
}

// NewSecrets starts with s, in which all secrets are set.
func NewSecrets(s *settings.Settings, log *slog.Logger, reg prometheus.Registerer) *Secrets {
	r := &Secrets{Files: NewFiles(log, reg), onChange: make(map[string]func(*settings.Settings) error)}
	start := *s
	r.current.Store(&start)
	return r
}

// OnChange has apply called with the settings when one of the variables has changed.
// With an error the old secret stays in use. Call it before WatchSecrets.
func (r *Secrets) OnChange(apply func(*settings.Settings) error, variables ...string) {
	for _, name := range variables {
		r.onChange[name] = apply
	}
}

// WatchSecrets watches the files that hold secrets.
func (r *Secrets) WatchSecrets() {
	for _, file := range r.current.Load().SecretFiles() {
		if isPipe(file.Path) {
			continue // it can be read only once
		}
		r.Watch(&Group{
			Settings: file.Variable + "_FILE",
			Paths:    []string{file.Path},
			Load:     func(contents [][]byte) ([]any, error) { return r.load(file, contents[0]) },
		})
	}
}

// isPipe reports whether path can be read only once, such as <(command) of a shell.
func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeDevice) != 0
}

func (r *Secrets) load(file settings.SecretFile, content []byte) ([]any, error) {
	old := r.current.Load()
	next, n, err := old.WithFile(file, content)
	if err != nil || next == old {
		return nil, err
	}
	r.current.Store(next) // first, for connections that apply closes and that log in again
	if apply := r.onChange[file.Variable]; apply != nil {
		if err := apply(next); err != nil {
			r.current.Store(old)
			return nil, err
		}
	}
	return []any{"live", n}, nil
}

// Current returns a function that returns a secret as it is now; nil if it is not set.
func (r *Secrets) Current(secret func(*settings.Settings) settings.Secret) func() string {
	if !secret(r.current.Load()).IsSet() {
		return nil
	}
	return func() string { return secret(r.current.Load()).Reveal() }
}

// Settings returns the settings with the secrets in use now. They must not be changed.
func (r *Secrets) Settings() *settings.Settings { return r.current.Load() }

// AdminToken returns the token of the admin listener.
func (r *Secrets) AdminToken() string { return r.current.Load().AdminToken.Reveal() }
