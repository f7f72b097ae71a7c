package fallback_test

import (
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

type (
	Config    = publish.Config
	Publisher = publish.Publisher
)

var (
	testConfig     = publishtest.Config
	embeddedConfig = publishtest.EmbeddedConfig
	serverConfig   = publishtest.ServerConfig
	mustOpen       = publishtest.Open
	withDeadline   = publishtest.Deadline
	click          = publishtest.Click
	mustPublish    = publishtest.Publish
	publishForeign = publishtest.PublishForeign
	inProcess      = publishtest.InProcess
	info           = publishtest.Info
	stored         = publishtest.Stored
	needsProcess   = publishtest.NeedsProcess
	eventually     = natstest.Eventually
	zeroConsumer   = publishtest.ZeroConsumer
)
