//go:build linux

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The ways to sync, as GATEWAY_SYNC names them.
const (
	syncInterval = "interval"
	syncGroup    = "group"
	syncAlways   = "always"
)

// bareStream is the stream of those who are not the gateway.
const bareStream = "EVENTS"

// bareDelivery is the part of Meta's webhook that the handler needs.
type bareDelivery struct {
	Object string `json:"object"`
	Entry  []struct {
		ID        string `json:"id"`
		Messaging []struct {
			Sender    struct{ ID string } `json:"sender"`
			Timestamp int64               `json:"timestamp"`
			Postback  struct {
				MID     string `json:"mid"`
				Title   string `json:"title"`
				Payload string `json:"payload"`
			} `json:"postback"`
		} `json:"messaging"`
	} `json:"entry"`
}

type bareEvent struct {
	ID      string    `json:"id"`
	Page    string    `json:"page"`
	User    string    `json:"user"`
	Title   string    `json:"title"`
	Payload string    `json:"payload"`
	Time    time.Time `json:"time"`
}

// bareHandler is what a team would write first: the signature, encoding/json, one
// message for each event, and 200 when all are acknowledged. It has no metrics, no
// log, no limits and no retries.
type bareHandler struct {
	js   jetstream.JetStream
	sync func() error // nil where the acknowledgement is enough
}

func (h *bareHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write(body)
	if !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte("sha256="+hex.EncodeToString(mac.Sum(nil)))) {
		http.Error(w, "wrong signature", http.StatusUnauthorized)
		return
	}
	var delivery bareDelivery
	if err := json.Unmarshal(body, &delivery); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	err = h.publish(r, &delivery)
	if err == nil && h.sync != nil {
		err = h.sync()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (h *bareHandler) publish(r *http.Request, delivery *bareDelivery) error {
	var futures []jetstream.PubAckFuture
	for _, entry := range delivery.Entry {
		for _, item := range entry.Messaging {
			data, err := json.Marshal(bareEvent{
				ID: item.Postback.MID, Page: entry.ID, User: item.Sender.ID,
				Title: item.Postback.Title, Payload: item.Postback.Payload, Time: time.UnixMilli(item.Timestamp).UTC(),
			})
			if err != nil {
				return err
			}
			future, err := h.js.PublishMsgAsync(&nats.Msg{
				Subject: "events." + delivery.Object + "." + entry.ID + "." + item.Postback.Payload,
				Header:  nats.Header{jetstream.MsgIDHeader: []string{item.Postback.MID}},
				Data:    data,
			})
			if err != nil {
				return err
			}
			futures = append(futures, future)
		}
	}
	for _, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			return err
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	return nil
}

// serveBare is the process of the bare handler.
func serveBare(args []string) error {
	flags := flag.NewFlagSet("bare", flag.ExitOnError)
	listen := flags.String("listen", "", "address of the webhook")
	admin := flags.String("admin", "", "address of the metrics")
	url := flags.String("nats", "", "a separate server; empty: one in this process")
	natsListen := flags.String("nats-listen", "", "address of the server in this process")
	mode := flags.String("sync", "", "interval, group or always, of the server in this process")
	dir := flags.String("dir", "", "directory of the store")
	_ = flags.Parse(args)

	var opts []nats.Option
	if *url == "" {
		ns, err := startServer(*natsListen, *dir, *mode)
		if err != nil {
			return err
		}
		opts = append(opts, nats.InProcessServer(ns))
	}
	nc, err := nats.Connect(*url, opts...)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := createBareStream(js); err != nil {
		return err
	}
	handler := &bareHandler{js: js}
	if *mode == syncGroup {
		if handler.sync, err = groupSync(*dir); err != nil {
			return err
		}
	}
	go func() { log.Fatal(http.ListenAndServe(*admin, http.HandlerFunc(memoryMetrics))) }()
	return http.ListenAndServe(*listen, handler)
}

// createBareStream creates a stream with the gateway's default retention and
// deduplication window.
func createBareStream(js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: bareStream, Subjects: []string{"events.>"}, Storage: jetstream.FileStorage,
		MaxAge: 7 * 24 * time.Hour, Duplicates: 2 * time.Hour,
	})
	return err
}

// memoryMetrics serves two of the metrics that the gateway has, by the same names.
func memoryMetrics(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(w, "\ngo_memstats_mallocs_total %d\ngo_memstats_alloc_bytes_total %d\n", m.Mallocs, m.TotalAlloc)
}
