// Records which plan each person chose, once for each click, however often the click
// is delivered.
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
});
const manager = await jetstreamManager(nc);
await manager.consumers.add("POSTBACKS", {
  durable_name: "plan-worker-node",
  filter_subjects: ["postback.v1.*.*.plan.>"],
  ack_policy: AckPolicy.Explicit,
  // The default is to start with the oldest stored event: the worker would answer a
  // week of old clicks when it is deployed for the first time.
  deliver_policy: DeliverPolicy.New,
});
const consumer = await jetstream(nc).consumers.get("POSTBACKS", "plan-worker-node");
const messages = await consumer.consume();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => messages.close());
console.log("ready");

// A message is acknowledged when it is processed. Whatever was not acknowledged is
// delivered again, also after a crash.
for await (const m of messages) {
  let event;
  try {
    event = m.json();
  } catch {
    m.term("not an event"); // it will never be one
    continue;
  }
  try {
    choosePlan(event);
    m.ack();
  } catch (err) {
    console.error(`event ${event.id}:`, err);
    m.nak(5_000);
  }
}
await nc.drain();

function choosePlan(event) {
  const payload = event.data.payload;
  if (!payload) return; // a button on a page where another app has the conversation
  if (record(event)) console.log(`${event.data.user.id} chose ${payload.action}`);
  else console.log(`${event.id} again`);
}

// Stores a click and returns whether it is new. The file stands for a row of your
// database with source and id as its unique key: storing it and finding out that it
// exists are one step, so no crash can come between them.
function record({ source, id, data }) {
  mkdirSync("plans", { recursive: true });
  const path = "plans/" + createHash("sha256").update(`${source} ${id}`).digest("hex");
  writeFileSync(`${path}.new`, `${data.user.id} ${data.payload.raw}\n`);
  try {
    linkSync(`${path}.new`, path); // fails if it exists
    return true;
  } catch (err) {
    if (err.code === "EEXIST") return false;
    throw err;
  }
}
