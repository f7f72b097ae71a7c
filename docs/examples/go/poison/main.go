// Command poison tries each rating three times, and shows which events the server
// has given up then.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/postback-gateway/gateway/schema"
)

const (
	stream  = "POSTBACKS"
	durable = "rating-worker-go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	router := schema.NewRouter(schema.DefaultRoot)
	router.Postback(rate, "rate")

	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := showGivenUp(ctx, nc, js); err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable:        durable,
		FilterSubjects: router.FilterSubjects(),
		DeliverPolicy:  jetstream.DeliverNewPolicy, // do not answer old clicks
		MaxDeliver:     3,                          // without it a poison message comes back forever
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
		_ = m.TermWithReason("not an event") // given up at once
		return
	}
	if _, err := router.Dispatch(ctx, &event); err != nil {
		log.Printf("event %s: %v", event.ID, err)
		pause := time.Second
		if meta, err := m.Metadata(); err == nil {
			pause *= time.Duration(meta.NumDelivered) // 1 s, 2 s …
		}
		_ = m.NakWithDelay(pause)
		return
	}
	_ = m.Ack()
}

func rate(_ context.Context, e *schema.Event) error {
	stars, err := strconv.Atoi(e.Data.Payload.Action)
	if err != nil {
		return fmt.Errorf("rating %q: %w", e.Data.Payload.Action, err) // poison: no retry helps
	}
	fmt.Printf("%s gave %d stars\n", e.Data.User.ID, stars)
	return nil
}

// showGivenUp prints each event that reached MaxDeliver. The event is still in the
// stream. The advisory is a plain NATS message: nobody keeps it for a program that is
// not running.
func showGivenUp(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	advisories := "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + stream + "." + durable
	_, err = nc.Subscribe(advisories, func(m *nats.Msg) {
		var advisory struct {
			StreamSeq uint64 `json:"stream_seq"`
		}
		if err := json.Unmarshal(m.Data, &advisory); err != nil {
			log.Print(err)
			return
		}
		stored, err := s.GetMsg(ctx, advisory.StreamSeq)
		if err != nil {
			log.Print(err)
			return
		}
		fmt.Printf("given up: sequence %d, %s\n", advisory.StreamSeq, stored.Subject)
	})
	return err
}
