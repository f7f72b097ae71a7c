package publish_test

import (
	"github.com/postback-gateway/gateway/publish"
	"github.com/postback-gateway/gateway/publish/natsconn"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/publish/publishtest"
)

type (
	Config    = publish.Config
	Publisher = publish.Publisher
	bounded   = publishtest.Bounded
)

var (
	testConfig      = publishtest.Config
	embeddedConfig  = publishtest.EmbeddedConfig
	serverConfig    = publishtest.ServerConfig
	mustOpen        = publishtest.Open
	mustOpenWith    = publishtest.OpenWith
	openError       = publishtest.OpenError
	withDeadline    = publishtest.Deadline
	click           = publishtest.Click
	clicks          = publishtest.Clicks
	rubbish         = publishtest.Rubbish
	mustPublish     = publishtest.Publish
	inProcess       = publishtest.InProcess
	info            = publishtest.Info
	stored          = publishtest.Stored
	needsProcess    = publishtest.NeedsProcess
	metric          = publishtest.Metric
	eventually      = natstest.Eventually
	sleep           = natsconn.Sleep
	leastPrivilege  = publishtest.LeastPrivilege
	connectAs       = publishtest.ConnectAs
	mustBeForbidden = publishtest.MustBeForbidden
	mustComplain    = publishtest.MustComplain
	clickBy         = publishtest.ClickBy
)
