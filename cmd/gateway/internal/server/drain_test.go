package server

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// duringClose is a listener that calls a function when it is about to be closed.
type duringClose struct {
	net.Listener
	do func()
}

func (d *duringClose) Close() error {
	d.do()
	return d.Listener.Close()
}

// TestDrainRefusesFirst: whoever is told to come on another connection is refused, and
// finds no listener that is closed while the connection waits in its queue.
func TestDrainRefusesFirst(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	d := newDrainer(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{}}
	toldToClose := func() bool {
		response, err := client.Get("http://" + listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return response.Close
	}
	if toldToClose() {
		t.Error("a connection is not kept")
	}
	closing := &duringClose{listener, func() {
		if toldToClose() {
			t.Error("a client is told to come on another connection while there is a listener")
		}
		client.CloseIdleConnections()
	}}
	if err := d.drain(t.Context(), closing); err != nil {
		t.Error(err)
	}
	<-served
}
