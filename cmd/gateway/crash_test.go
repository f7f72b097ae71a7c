package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// crashRounds is how often the gateway is killed; CRASH_ROUNDS sets it.
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CRASH_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_ROUNDS %q: expected a number from 1", text)
	}
	return n
}

// TestCrash kills the gateway (kill -9) under load at moments that nobody chose,
// starts it again on the same directory, and then looks for every delivery that
// was answered 200: it is in the stream, once. What it proves is recovery and
// de-duplication; the kernel keeps unsynced writes of a killed process, so it
// says nothing of power cuts.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	answered := make(map[string]bool)
	rounds := crashRounds(t)
	for round := range rounds {
		p := startGateway(t, dir, "GATEWAY_LOG_LEVEL=info")
		for _, id := range p.loadUntilKilled(round, 200+rand.IntN(2000)) {
			answered[id] = true
		}
	}
	p := startGateway(t, dir, "GATEWAY_LOG_LEVEL=info")
	found := p.storedIDs()
	for id := range answered {
		if found[id] != 1 {
			t.Errorf("%s was answered 200 and is stored %d times", id, found[id])
		}
	}
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is stored %d times", id, n)
		}
	}
	t.Logf("%d kills, %d deliveries answered 200, %d events stored", rounds, len(answered), len(found))
	p.terminate()
}

const crashClients = 16

// loadUntilKilled posts from several clients, kills the gateway after so many
// answers, and returns the ids that were answered 200. Every other delivery is sent
// twice, as platforms do at times.
func (p *gatewayProcess) loadUntilKilled(round, answers int) []string {
	var count atomic.Int64
	ids := make([][]string, crashClients)
	secret := p.secret()
	var wg sync.WaitGroup
	for client := range crashClients {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("m_%d_%d_%d", round, client, n)
				if !p.delivered(secret, id, 1+n%2) {
					return
				}
				ids[client] = append(ids[client], id)
				if count.Add(1) == int64(answers) {
					_ = p.cmd.Process.Kill()
				}
			}
		})
	}
	wg.Wait()
	p.kill() // also where it was not: it then refused a delivery
	var all []string
	for _, some := range ids {
		all = append(all, some...)
	}
	return all
}

// delivered posts a click so many times and tells whether it was answered 200
// each time. A gateway that is gone answers nothing.
func (p *gatewayProcess) delivered(secret, id string, times int) bool {
	body := simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "plan:pro", ID: id})
	for range times {
		request, err := simulate.Request(p.at.webhook, secret, body)
		if err != nil {
			p.t.Error(err)
			return false
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			return false
		}
	}
	return true
}

// storedIDs reads the whole stream as a consumer and counts each event's id.
func (p *gatewayProcess) storedIDs() map[string]int {
	p.t.Helper()
	stream, err := natstest.JetStream(p.t, p.at.nats).Stream(p.t.Context(), "POSTBACKS")
	if err != nil {
		p.t.Fatal(err)
	}
	c := consume(p.t, p.at.nats, "POSTBACKS")
	found := make(map[string]int)
	for range stream.CachedInfo().State.Msgs {
		_, e, _ := c.event()
		found[e.ID]++
	}
	return found
}
