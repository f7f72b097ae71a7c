// Writes down what each person does with a cart, in order, in as many processes as you
// start. The gateway and these have the same GATEWAY_PARTITIONS.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const partitions = Number(process.env.GATEWAY_PARTITIONS);
if (!(partitions >= 1)) throw new Error("GATEWAY_PARTITIONS: expected the number that the gateway has");

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
});
const manager = await jetstreamManager(nc);
const readers = [];
// Every process reads all partitions, and the server gives each event to one process.
for (let p = 0; p < partitions; p++) {
  const durable = `cart-node-p${p}`;
  await manager.consumers.add("POSTBACKS", {
    durable_name: durable,
    filter_subjects: [`postback.v1.*.*.cart.*.p${p}`],
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: 1, // the next event of the partition comes when this one is acknowledged
    deliver_policy: DeliverPolicy.New, // do not act on old clicks
  });
  const consumer = await jetstream(nc).consumers.get("POSTBACKS", durable);
  readers.push(await consumer.consume());
}
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => readers.forEach((r) => r.close()));
console.log("ready");

await Promise.all(readers.map(read));
await nc.drain();

async function read(messages) {
  for await (const m of messages) {
    let event;
    try {
      event = m.json();
    } catch {
      m.term("not an event");
      continue;
    }
    try {
      changeCart(event);
      m.ack();
    } catch (err) {
      console.error(`event ${event.id}:`, err);
      m.nak(5_000); // the partition waits
    }
  }
}

// Adds a line to the person's file. It needs no lock: until this event is acknowledged,
// no process has another one of this person. So the last line is also enough to
// recognize an event that is delivered again after a crash.
function changeCart({ id, partitionkey, data }) {
  mkdirSync("carts", { recursive: true });
  const path = "carts/" + encodeURIComponent(partitionkey);
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  const line = `${id} ${data.payload.action}\n`;
  if (!before.endsWith(line)) appendFileSync(path, line);
  console.log(`${data.user.id} cart ${data.payload.action}`);
}
