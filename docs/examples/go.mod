module github.com/postback-gateway/gateway/docs/examples

go 1.26.0

// Only these examples build against the gateway beside them. Without this line,
// go get github.com/postback-gateway/gateway/schema gives you the released package.
replace github.com/postback-gateway/gateway => ../..

require (
	github.com/nats-io/nats.go v1.55.0
	github.com/postback-gateway/gateway v0.0.0-00010101000000-000000000000
)

require (
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/nats-io/nkeys v0.4.17 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)
