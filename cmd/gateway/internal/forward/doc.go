// Package forward posts stored deliveries to existing bots, byte for byte and with the
// platform's own headers. A bot that was the app's webhook before runs on unchanged.
//
// Each account of a webhook has a queue of its own, so a delivery that the bot does not
// accept holds up only those of the same account. The queue is a consumer of the stream
// that has one message in flight, whatever the number of gateways that read by it: this
// alone keeps the order, and lets several gateways share the work.
package forward
