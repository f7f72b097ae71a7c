package monitor_test

import (
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

type (
	Config    = publish.Config
	Publisher = publish.Publisher
	bounded   = publishtest.Bounded
)

var (
	embeddedConfig = publishtest.EmbeddedConfig
	serverConfig   = publishtest.ServerConfig
	mustOpen       = publishtest.Open
	mustOpenWith   = publishtest.OpenWith
	withDeadline   = publishtest.Deadline
	click          = publishtest.Click
	rubbish        = publishtest.Rubbish
	mustPublish    = publishtest.Publish
	inProcess      = publishtest.InProcess
	info           = publishtest.Info
	needsProcess   = publishtest.NeedsProcess
	metric         = publishtest.Metric
	eventually     = natstest.Eventually
	newBounded     = publishtest.NewBounded
)
