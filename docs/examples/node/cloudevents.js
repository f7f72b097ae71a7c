// Prints the CloudEvents attributes of each new event, read with the CloudEvents SDK.
// Needs the package cloudevents, too.
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { HTTP } from "cloudevents";

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
// An ordered consumer is not durable and needs no acknowledgements: for watching.
const consumer = await jetstream(nc).consumers.get("POSTBACKS", { deliver_policy: DeliverPolicy.New });
const messages = await consumer.consume();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => messages.close());
console.log("ready");

for await (const m of messages) {
  const headers = { "content-type": m.headers.get("Content-Type") };
  // m.string(), not m.data: from bytes toEvent makes an empty event, without an error.
  const event = HTTP.toEvent({ headers, body: m.string() });
  console.log(event.type, event.partitionkey, event.data.payload?.raw);
}
await nc.drain();
