// Command worker records which plan each person chose, once for each click, however
// often the click is delivered.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

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
	router := schema.NewRouter(schema.DefaultRoot)
	router.Postback(choosePlan, "plan") // plan:pro, plan:basic, plan:{"id":7} …

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
		Durable:        "plan-worker-go",
		FilterSubjects: router.FilterSubjects(),
		// The default is to start with the oldest stored event: the worker would
		// answer a week of old clicks when it is deployed for the first time.
		DeliverPolicy: jetstream.DeliverNewPolicy,
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
	consuming.Drain() // finishes the messages that have arrived
	<-consuming.Closed()
	return nil
}

// handle acknowledges a message when it is processed. Whatever was not acknowledged
// is delivered again, also after a crash.
func handle(ctx context.Context, router *schema.Router, m jetstream.Msg) {
	var event schema.Event
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		_ = m.TermWithReason("not an event") // it will never be one
		return
	}
	if _, err := router.Dispatch(ctx, &event); err != nil {
		log.Printf("event %s: %v", event.ID, err)
		_ = m.NakWithDelay(5 * time.Second)
		return
	}
	_ = m.Ack()
}

func choosePlan(_ context.Context, e *schema.Event) error {
	first, err := record(e)
	switch {
	case err != nil:
		return err
	case first:
		fmt.Printf("%s chose %s\n", e.Data.User.ID, e.Data.Payload.Action)
	default:
		fmt.Printf("%s again\n", e.ID)
	}
	return nil
}

// record stores a click and reports whether it is new. The file stands for a row of
// your database with source and id as its unique key: storing it and finding out
// that it exists are one step, so no crash can come between them.
func record(e *schema.Event) (first bool, err error) {
	if err := os.MkdirAll("plans", 0o777); err != nil {
		return false, err
	}
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(e.Source+" "+e.ID)))
	temporary := filepath.Join("plans", name+".new")
	text := e.Data.User.ID + " " + e.Data.Payload.Raw + "\n"
	if err := os.WriteFile(temporary, []byte(text), 0o666); err != nil {
		return false, err
	}
	err = os.Link(temporary, filepath.Join("plans", name)) // fails if it exists
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
