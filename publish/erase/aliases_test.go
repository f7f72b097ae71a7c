package erase_test

import (
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

type (
	Config = publish.Config
)

var (
	testConfig      = publishtest.Config
	embeddedConfig  = publishtest.EmbeddedConfig
	serverConfig    = publishtest.ServerConfig
	mustOpen        = publishtest.Open
	withDeadline    = publishtest.Deadline
	click           = publishtest.Click
	clicks          = publishtest.Clicks
	rubbish         = publishtest.Rubbish
	mustPublish     = publishtest.Publish
	inProcess       = publishtest.InProcess
	needsProcess    = publishtest.NeedsProcess
	eventually      = natstest.Eventually
	leastPrivilege  = publishtest.LeastPrivilege
	connectAs       = publishtest.ConnectAs
	mustBeForbidden = publishtest.MustBeForbidden
	clickBy         = publishtest.ClickBy
)
