// Command kogno has the blocks of a small Kogno bot as handlers of a router.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

func blocks() *schema.Router {
	router := schema.NewRouter(schema.DefaultRoot)

	// postback ["yes", "no"] do |params|
	router.Postback(func(_ context.Context, e *schema.Event) error {
		fmt.Println("answered", e.Data.Payload.Prefix)
		return nil
	}, "yes", "no")

	// postback "purchase" do |params|
	router.Postback(func(_ context.Context, e *schema.Event) error {
		var params struct {
			ProductID int `json:"product_id"`
		}
		if err := e.Data.Payload.DecodeParams(&params); err != nil {
			log.Printf("event %s: %v", e.ID, err) // a retry would not help
			return nil
		}
		fmt.Println("purchase", params.ProductID)
		return nil
	}, "purchase")

	// any_postback do |payload, params|
	router.AnyPostback(func(_ context.Context, e *schema.Event) error {
		fmt.Println("no block for", e.Data.Payload.Raw)
		return nil
	})

	// class SalesContext, with its own any_postback
	sales := router.Context("sales")
	sales.Postback(func(context.Context, *schema.Event) error {
		fmt.Println("the offers")
		return nil
	}, "offers") // sales/offers
	sales.AnyPostback(func(_ context.Context, e *schema.Event) error {
		fmt.Println("no block in sales for", e.Data.Payload.Action)
		return nil
	})

	// deep_link do |param|, in the main context and in SalesContext
	router.Referral(func(_ context.Context, e *schema.Event) error {
		referral := e.Data.Referral
		if referral == nil || referral.Ref == "" {
			return nil // an ad can come without a ref; Kogno ignores it
		}
		if param, ok := strings.CutPrefix(referral.Ref, "sales_"); ok {
			fmt.Println("deep link to sales:", param)
			return nil
		}
		fmt.Println("deep link:", referral.Ref)
		return nil
	})

	// recurring_notification :granted do |data|
	router.Optin(func(_ context.Context, e *schema.Event) error {
		fmt.Println("opted in:", e.Data.User.ID)
		return nil
	})
	return router
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, blocks()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, router *schema.Router) error {
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
		Durable:        "kogno-bot",
		FilterSubjects: router.FilterSubjects(),
		DeliverPolicy:  jetstream.DeliverNewPolicy, // do not answer old clicks
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
	_ = m.Ack()
}
