package console

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/analytics"
)

// TestFunnelAPI: people, times and referrals; a referral that is somebody's address is
// masked.
func TestFunnelAPI(t *testing.T) {
	c := newTestConsole(t)
	c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: "a", Payload: "GET_STARTED", Ref: "spring"}))
	c.deliver(testSecret, simulate.Messenger(simulate.Click{Account: "17", User: "b", Payload: "GET_STARTED", Ref: "somebody@example.com"}))
	c.click("c", "GET_STARTED", "")
	c.click("a", "plan:pro", "")
	for _, query := range []string{"", "&window=24h", "&window=24h&within=1h&account=17"} {
		var f analytics.Funnel
		c.scanned("/api/funnel?step=GET_STARTED&step="+url.QueryEscape("plan:pro")+query, &f)
		if len(f.Steps) != 2 || f.Steps[0].People != 3 || f.Steps[1].People != 1 || f.SampleOf != 1 {
			t.Errorf("%s: %+v", query, f)
		}
		text := fmt.Sprint(f.Referrals)
		if !strings.Contains(text, "{spring [1 1]}") || !strings.Contains(text, mask) || strings.Contains(text, "somebody") {
			t.Errorf("%s: %s", query, text)
		}
	}
	for _, query := range []string{"step=a", "step=a&step=", "step=a&step=b&within=soon", "step=a&step=b&window=1y", "step=" + strings.Repeat("a&step=", 9)} {
		if status, text := c.do("GET", "/api/funnel?"+query, ""); status != 422 {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}
