// Tries each rating three times, and shows which events the server has given up then.
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const stream = "POSTBACKS";
const durable = "rating-worker-node";

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
});
const manager = await jetstreamManager(nc);

// Prints each event that reached max_deliver. The event is still in the stream. The
// advisory is a plain NATS message: nobody keeps it for a program that is not running.
nc.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.${stream}.${durable}`, {
  callback: async (err, m) => {
    if (err) return console.error(err);
    const { stream_seq: seq } = m.json();
    const stored = await manager.streams.getMessage(stream, { seq });
    console.log(`given up: sequence ${seq}, ${stored?.subject}`);
  },
});

await manager.consumers.add(stream, {
  durable_name: durable,
  filter_subjects: ["postback.v1.*.*.rate.>"],
  ack_policy: AckPolicy.Explicit,
  deliver_policy: DeliverPolicy.New, // do not answer old clicks
  max_deliver: 3, // without it a poison message comes back forever
});
const consumer = await jetstream(nc).consumers.get(stream, durable);
const messages = await consumer.consume();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => messages.close());
console.log("ready");

for await (const m of messages) {
  let event;
  try {
    event = m.json();
  } catch {
    m.term("not an event"); // given up at once
    continue;
  }
  try {
    rate(event);
    m.ack();
  } catch (err) {
    console.error(`event ${event.id}: ${err.message}`);
    m.nak(1_000 * m.info.deliveryCount); // 1 s, 2 s …
  }
}
await nc.drain();

function rate(event) {
  const { action } = event.data.payload ?? {};
  const stars = Number(action);
  if (!Number.isInteger(stars)) throw new Error(`rating ${action}: not a number`); // poison: no retry helps
  console.log(`${event.data.user.id} gave ${stars} stars`);
}
