package settings

import "github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"

var (
	setenv    = settingstest.Set
	env       = settingstest.Env
	writeFile = settingstest.NewFile
	put       = settingstest.WriteFile
)
