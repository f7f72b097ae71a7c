//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
)

// TestDeliveries: each is a whole request with a valid signature, and no event is
// there twice.
func TestDeliveries(t *testing.T) {
	d := newDeliveries(3, 2)
	d.first = 1000
	ids, payloads := map[string]bool{}, map[string]int{}
	for want := range 4 {
		text, number := d.next()
		if number != want {
			t.Errorf("got number %d, want %d", number, want)
		}
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := request.Header.Get("X-Hub-Signature-256"), simulate.Sign(appSecret, body); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		var delivery bareDelivery
		if err := json.Unmarshal(body, &delivery); err != nil {
			t.Fatal(err)
		}
		for i, item := range delivery.Entry[0].Messaging {
			ids[item.Postback.MID] = true
			payloads[item.Postback.Payload]++
			if n, ok := eventNumber(item.Postback.MID); !ok || n != 1000+want*3+i {
				t.Errorf("event %s: got number %d, want %d", item.Postback.MID, n, 1000+want*3+i)
			}
		}
	}
	if len(ids) != 12 {
		t.Errorf("4 deliveries of 3 events have %d ids, want 12", len(ids))
	}
	if len(payloads) != 2 || payloads["show_plan:p000000"] != 6 {
		t.Errorf("payloads %v, want two of them, each 6 times", payloads)
	}
}

func TestEventNumber(t *testing.T) {
	for id, want := range map[string]int{
		"m_00000000000000000042":                           42,
		"messenger:682498171943165:m_00000000000000000042": 42,
		"m_42": -1, "": -1, "m_0000000000000000004x": -1,
	} {
		if n, ok := eventNumber(id); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: got %d, %v, want %d", id, n, ok, want)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	for _, test := range []struct {
		text  string
		want  answer
		whole bool
		fails bool
	}{
		{text: ""},
		{text: "HTTP/1.1 200 OK\r\nContent-Le"},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", want: answer{status: 200}},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", want: answer{status: 200}, whole: true},
		{text: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", want: answer{status: 200}, whole: true},
		{text: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", want: answer{503, true}, whole: true},
		{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fails: true},
		{text: "HTTP/1.1 abc\r\n\r\n", fails: true},
		{text: "nonsense\r\n\r\n", fails: true},
	} {
		got, whole, err := parseAnswer([]byte(test.text))
		if (err != nil) != test.fails || err == nil && (got != test.want || whole != test.whole) {
			t.Errorf("%q: got %+v, %v, %v", test.text, got, whole, err)
		}
	}
}
