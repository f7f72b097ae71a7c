package publish

// ConfigError is an error about one field of a [Config]. The package does not know where
// the configuration comes from; whoever fills it in can name the setting.
type ConfigError struct {
	Field string
	Err   error
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *ConfigError) Unwrap() error { return e.Err }
