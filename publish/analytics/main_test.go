package analytics_test

import (
	"os"
	"testing"

	"github.com/postback-gateway/gateway/publish/natstest"
)

func TestMain(m *testing.M) { os.Exit(natstest.Run(m)) }
