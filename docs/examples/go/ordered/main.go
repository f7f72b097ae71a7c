// Command ordered writes down what each person does with a cart, in order, in as many
// processes as you start. The gateway and these have the same GATEWAY_PARTITIONS.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
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
	router.Postback(changeCart, "cart") // cart:add, cart:remove, cart:pay …

	partitions, err := strconv.Atoi(os.Getenv("GATEWAY_PARTITIONS"))
	if err != nil || partitions < 1 {
		return errors.New("GATEWAY_PARTITIONS: expected the number that the gateway has")
	}
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	var all []jetstream.ConsumeContext
	for p := range partitions {
		consuming, err := consume(ctx, js, router, p)
		if err != nil {
			return err
		}
		all = append(all, consuming)
	}
	fmt.Println("ready")
	<-ctx.Done()
	for _, consuming := range all {
		consuming.Drain()
		<-consuming.Closed()
	}
	return nil
}

// consume reads one partition. Every process reads all of them, and the server gives
// each event to one process.
func consume(ctx context.Context, js jetstream.JetStream, router *schema.Router, partition int) (jetstream.ConsumeContext, error) {
	consumer, err := js.CreateOrUpdateConsumer(ctx, "POSTBACKS", jetstream.ConsumerConfig{
		Durable:        fmt.Sprintf("cart-go-p%d", partition),
		FilterSubjects: router.PartitionFilterSubjects(partition),
		// The next event of the partition comes when this one is acknowledged.
		MaxAckPending: 1,
		DeliverPolicy: jetstream.DeliverNewPolicy, // do not act on old clicks
	})
	if err != nil {
		return nil, err
	}
	return consumer.Consume(func(m jetstream.Msg) { handle(ctx, router, m) })
}

func handle(ctx context.Context, router *schema.Router, m jetstream.Msg) {
	var event schema.Event
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		_ = m.TermWithReason("not an event")
		return
	}
	if _, err := router.Dispatch(ctx, &event); err != nil {
		log.Printf("event %s: %v", event.ID, err)
		_ = m.NakWithDelay(5 * time.Second) // the partition waits
		return
	}
	_ = m.Ack()
}

// changeCart adds a line to the person's file. It needs no lock: until this event is
// acknowledged, no process has another one of this person. So the last line is also
// enough to recognize an event that is delivered again after a crash.
func changeCart(_ context.Context, e *schema.Event) error {
	if err := os.MkdirAll("carts", 0o777); err != nil {
		return err
	}
	path := filepath.Join("carts", url.QueryEscape(e.PartitionKey))
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := []byte(e.ID + " " + e.Data.Payload.Action + "\n")
	if !bytes.HasSuffix(before, line) {
		if err := appendTo(path, line); err != nil {
			return err
		}
	}
	fmt.Println(e.Data.User.ID, "cart", e.Data.Payload.Action)
	return nil
}

func appendTo(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
}
