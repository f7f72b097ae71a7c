package publish

import "github.com/nats-io/nats.go"

// Dial connects to the servers of cfg for somebody who reads the streams. name
// is how the connection is called in the server's monitoring. The caller closes
// it. The error is as that of [Open]; there is no second try.
func Dial(cfg Config, name string) (*nats.Conn, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(cfg.Servers, append(options, nats.Name(name))...)
	if err != nil {
		return nil, cfg.explain(err)
	}
	return nc, nil
}
