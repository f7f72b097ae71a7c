// A Telegram bot: /start shows two buttons, and a tap on one gets an answer.
// Set TELEGRAM_TOKEN to the token from BotFather.
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const { TELEGRAM_TOKEN: token, TELEGRAM_API: api = "https://api.telegram.org" } = process.env;
if (!token) throw new Error("TELEGRAM_TOKEN is not set: expected the token from BotFather");

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  maxReconnectAttempts: -1,
});
const manager = await jetstreamManager(nc);
await manager.consumers.add("POSTBACKS", {
  durable_name: "shop-bot",
  filter_subjects: ["postback.v1.telegram.*.start.>", "postback.v1.telegram.*.plan.>"],
  ack_policy: AckPolicy.Explicit,
  deliver_policy: DeliverPolicy.New, // do not answer clicks from before the bot existed
  max_deliver: 5, // then give up: the person is gone
});
const consumer = await jetstream(nc).consumers.get("POSTBACKS", "shop-bot");
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
  try {
    await answer(event);
    m.ack(); // only now: after a crash before this line, the event comes again
  } catch (err) {
    console.error(`event ${event.id}:`, err);
    m.nak(5_000);
  }
}
await nc.drain();

async function answer(event) {
  const { payload, user, kind } = event.data;
  if (!payload) return;
  console.log(`${user.id} pressed ${payload.raw}`);
  if (payload.prefix === "plan") {
    if (kind === "inline_button") await call("answerCallbackQuery", { callback_query_id: event.id });
    await call("sendMessage", { chat_id: user.id, text: `You chose ${payload.action}.` });
    return;
  }
  const buttons = ["basic", "pro"].map((plan) => ({ text: plan, callback_data: `plan:${plan}` }));
  await call("sendMessage", {
    chat_id: user.id,
    text: "Which plan do you want?",
    reply_markup: { inline_keyboard: [buttons] },
  });
}

async function call(method, body) {
  const response = await fetch(`${api}/bot${token}/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  if (response.ok) return;
  const text = await response.text();
  // Telegram refuses to answer a tap after a while, and a retry does not change that.
  if (method === "answerCallbackQuery" && response.status === 400) return;
  throw new Error(`${method}: ${response.status} ${text}`);
}
