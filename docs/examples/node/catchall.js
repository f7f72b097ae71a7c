// Answers clicks that no other service asks for. The gateway has to run with
// GATEWAY_FALLBACK=true, else there is no stream POSTBACKS_UNCLAIMED.
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
});
const manager = await jetstreamManager(nc);
await manager.consumers.add("POSTBACKS_UNCLAIMED", {
  durable_name: "catchall-node",
  ack_policy: AckPolicy.Explicit,
  deliver_policy: DeliverPolicy.New, // do not answer old clicks
});
const consumer = await jetstream(nc).consumers.get("POSTBACKS_UNCLAIMED", "catchall-node");
const messages = await consumer.consume();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => messages.close());
console.log("ready");

for await (const m of messages) {
  let event;
  try {
    event = m.json();
  } catch {
    m.term("not an event");
    continue;
  }
  // A click without a payload and a followed link are unclaimed events too.
  const payload = event.data.payload;
  if (payload) console.log(`sorry, ${event.data.user.id}: no service handles ${payload.raw}`);
  m.ack();
}
await nc.drain();
