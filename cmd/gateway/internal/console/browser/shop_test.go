package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// visit is what somebody pressed, on a page or to a bot of the shop.
type visit struct {
	referral string
	payloads []string
}

// visits are those of the shop. Most people do not go to the end.
var visits = []visit{
	{"spring_sale", []string{"GET_STARTED", "plan:enterprise", "checkout:card"}},
	{"spring_sale", []string{"GET_STARTED", "plan:pro", "checkout:card"}},
	{"spring_sale", []string{"GET_STARTED", "plan:pro"}},
	{"newsletter", []string{"GET_STARTED", "plan:enterprise"}},
	{"newsletter", []string{"GET_STARTED", "help"}},
	{"", []string{"GET_STARTED", "plan:pro", "checkout:invoice"}},
	{"", []string{"GET_STARTED", "plan:free"}},
	{"", []string{"GET_STARTED"}},
	{"", []string{"order:8123991", "help"}},
	{"", []string{"order:8124004", "rate:5"}},
}

// titles are what stands on the shop's buttons.
var titles = map[string]string{
	"GET_STARTED": "Get Started", "plan:enterprise": "Enterprise", "plan:pro": "Pro", "plan:free": "Free \U0001F600", "help": "Help",
	"checkout:card": "Pay by card", "checkout:invoice": "Pay by invoice", "order:8123991": "Track my order", "order:8124004": "Track my order", "rate:5": "★★★★★",
}

// keepDeliveries has the console take deliveries before a page is open.
func (g *gateway) keepDeliveries() {
	g.t.Helper()
	response, err := http.Get(g.admin + "/api/deliveries/keep")
	if err != nil {
		g.t.Fatal(err)
	}
	response.Body.Close()
}

// deliverMistakes delivers what is rejected.
func (g *gateway) deliverMistakes() {
	g.t.Helper()
	g.post(appSecret, `{"object":"page","entry":[{"id":"`+testPage+`","messaging":[{"sender":{"id":"1"},"postback":7}]}]}`)
	g.request("/webhooks/facebook", "{}")
}

// deliverShop delivers the clicks of a shop with three consumers, other items, and last one
// with a wrong secret.
func deliverShop(g *gateway) {
	g.t.Helper()
	billing := g.consumer("billing", "plan")
	g.consumer("support", "help")
	orders := g.consumer("orders", "order")
	for round := range 3 {
		for i, v := range visits {
			for _, payload := range v.payloads {
				g.post(appSecret, shopClick(fmt.Sprint(1254459154682000+100*round+i), payload, v.referral))
			}
		}
	}
	again := shopClick(testUser, "plan:pro", "")
	g.post(appSecret, again)
	g.post(appSecret, again)
	for i, data := range []string{"order:track", "help", "order:track"} {
		g.request("/webhooks/telegram/shop_bot", fmt.Sprintf(`{"update_id":%d,"callback_query":{"id":"%d","from":{"id":99999,"is_bot":false,"first_name":"A"},"data":%q,"message":{"message_id":1,"date":1,"chat":{"id":99999,"type":"private"}}}}`, i, i+7, data),
			"X-Telegram-Bot-Api-Secret-Token", botToken)
	}
	g.post(appSecret, `{"object":"page","entry":[{"id":"`+testPage+`","messaging":[{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1,"read":{"watermark":1}}]}]}`)
	g.ack(orders, 8)
	g.ack(billing, 10)
	g.post(appSecret, shopClick("1254459154689999", "plan:enterprise", ""))
	g.post("the secret of another app", shopClick("1254459154688888", "plan:pro", ""))
}

// shopClick is a delivery of Messenger with one click of somebody who came by a link.
func shopClick(user, payload, referral string) string {
	clicks++
	postback := map[string]any{"mid": fmt.Sprintf("m_%d_%d", os.Getpid(), clicks), "title": titles[payload], "payload": payload}
	if referral != "" && payload == "GET_STARTED" {
		postback["referral"] = map[string]any{"ref": referral, "source": "SHORTLINK", "type": "OPEN_THREAD"}
	}
	text, err := json.Marshal(map[string]any{"object": "page", "entry": []any{map[string]any{
		"id": testPage, "time": time.Now().UnixMilli(), "messaging": []any{map[string]any{
			"sender": map[string]any{"id": user}, "recipient": map[string]any{"id": testPage}, "timestamp": time.Now().UnixMilli(), "postback": postback,
		}}}}})
	if err != nil {
		panic(err) // only texts and numbers
	}
	return string(text)
}
