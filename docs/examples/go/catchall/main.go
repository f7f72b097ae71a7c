// Command catchall answers clicks that no other service asks for. The gateway has to
// run with GATEWAY_FALLBACK=true.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "POSTBACKS_UNCLAIMED", jetstream.ConsumerConfig{
		Durable:       "catchall-go",
		DeliverPolicy: jetstream.DeliverNewPolicy, // do not answer old clicks
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return errors.New("there is no stream POSTBACKS_UNCLAIMED: start the gateway with GATEWAY_FALLBACK=true")
	}
	if err != nil {
		return err
	}
	consuming, err := consumer.Consume(handle)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	consuming.Drain()
	<-consuming.Closed()
	return nil
}

func handle(m jetstream.Msg) {
	var event schema.Event
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		_ = m.TermWithReason("not an event")
		return
	}
	// A click without a payload and a followed link are unclaimed events too.
	if payload := event.Data.Payload; payload != nil {
		fmt.Printf("sorry, %s: no service handles %s\n", event.Data.User.ID, payload.Raw)
	}
	_ = m.Ack()
}
