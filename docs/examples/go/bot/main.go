// Command bot is a Telegram bot: /start shows two buttons, and a tap on one gets an
// answer. Set TELEGRAM_TOKEN to the token from BotFather.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

// bot calls Telegram's Bot API.
type bot struct {
	url    string // with the token
	client *http.Client
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	token := os.Getenv("TELEGRAM_TOKEN")
	if token == "" {
		return errors.New("TELEGRAM_TOKEN is not set: expected the token from BotFather")
	}
	api := cmp.Or(os.Getenv("TELEGRAM_API"), "https://api.telegram.org")
	b := &bot{url: api + "/bot" + token + "/", client: &http.Client{Timeout: 10 * time.Second}}
	router := schema.NewRouter(schema.DefaultRoot)
	router.Postback(b.start, "start")
	router.Postback(b.plan, "plan")

	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "POSTBACKS", jetstream.ConsumerConfig{
		Durable:        "shop-bot-go",
		FilterSubjects: router.FilterSubjects(),
		DeliverPolicy:  jetstream.DeliverNewPolicy, // do not answer clicks from before the bot existed
		MaxDeliver:     5,                          // then give up: the person is gone
	})
	if err != nil {
		return err
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) { handle(ctx, router, m) })
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	consuming.Drain()
	<-consuming.Closed()
	return nil
}

func handle(ctx context.Context, router *schema.Router, m jetstream.Msg) {
	var event schema.Event
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		_ = m.TermWithReason("not an event")
		return
	}
	if _, err := router.Dispatch(ctx, &event); err != nil {
		log.Printf("event %s: %v", event.ID, err)
		_ = m.NakWithDelay(5 * time.Second)
		return
	}
	_ = m.Ack() // only now: after a crash before this line, the event comes again
}

func (b *bot) start(ctx context.Context, e *schema.Event) error {
	type button struct {
		Text         string `json:"text"`
		CallbackData string `json:"callback_data"`
	}
	return b.call(ctx, "sendMessage", map[string]any{
		"chat_id": e.Data.User.ID,
		"text":    "Which plan do you want?",
		"reply_markup": map[string]any{
			"inline_keyboard": [][]button{{{"basic", "plan:basic"}, {"pro", "plan:pro"}}},
		},
	})
}

func (b *bot) plan(ctx context.Context, e *schema.Event) error {
	fmt.Printf("%s pressed %s\n", e.Data.User.ID, e.Data.Payload.Raw)
	if e.Data.Kind == schema.KindInlineButton {
		// Telegram refuses this after a while, and a retry does not change that.
		if err := b.call(ctx, "answerCallbackQuery", map[string]any{"callback_query_id": e.ID}); err != nil {
			log.Print(err)
		}
	}
	return b.call(ctx, "sendMessage", map[string]any{
		"chat_id": e.Data.User.ID,
		"text":    "You chose " + e.Data.Payload.Action + ".",
	})
}

func (b *bot) call(ctx context.Context, method string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+method, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: no answer from Telegram", method) // err has the token in its URL
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", method, response.Status)
	}
	return nil
}
