package main

import "github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"

var (
	setenv      = settingstest.Set
	env         = settingstest.Env
	writeFile   = settingstest.NewFile
	put         = settingstest.WriteFile
	mustNotTell = settingstest.CheckNoSecret
)

// hush is part of every secret of these tests, and must not be printed.
const hush = settingstest.Secret
