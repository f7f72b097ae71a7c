// Package settings is the gateway's configuration: one field of [Settings] for each
// environment variable. The tags of the field declare, check and document the setting.
//
// A new setting is one line in settings.go, its use in package server and in the
// configuration of the part, and one line each in deploy/gateway.env.example and in the
// chart's values.yaml and values.schema.json. The other files: load.go reads the environment, check.go
// applies the tags (format.go has the kinds of text), rules.go has the rules between
// several settings, warn.go lists what is allowed but risky, problem.go is the error with
// all of it, table.go writes the reference, secret.go masks secrets, and local.go keeps
// the secrets that the gateway generates.
package settings
