// The same handler for Node: the signature, JSON.parse, one message for each event,
// and 200 when all are acknowledged.
import cluster from "node:cluster";
import { createHmac, timingSafeEqual } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import Fastify from "fastify";

const { NATS_URL, APP_SECRET, HOST, PORT, WORKERS } = process.env;

if (cluster.isPrimary && Number(WORKERS) > 1) {
  for (let i = 0; i < Number(WORKERS); i++) cluster.fork();
  cluster.on("exit", () => process.exit(1));
} else {
  const js = jetstream(await connect({ servers: NATS_URL }));
  const app = Fastify();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => done(null, body));
  app.post("/webhooks/meta", async (request, reply) => {
    const want = Buffer.from("sha256=" + createHmac("sha256", APP_SECRET).update(request.body).digest("hex"));
    const got = Buffer.from(request.headers["x-hub-signature-256"] ?? "");
    if (want.length !== got.length || !timingSafeEqual(want, got)) return reply.code(401).send();
    const delivery = JSON.parse(request.body);
    const acks = [];
    for (const entry of delivery.entry) {
      for (const { sender, timestamp, postback } of entry.messaging) {
        const event = {
          id: postback.mid, page: entry.id, user: sender.id,
          title: postback.title, payload: postback.payload, time: new Date(timestamp).toISOString(),
        };
        acks.push(js.publish(`events.${delivery.object}.${entry.id}.${postback.payload}`, JSON.stringify(event), { msgID: postback.mid }));
      }
    }
    await Promise.all(acks);
    return reply.code(200).send();
  });
  await app.listen({ host: HOST, port: Number(PORT) });
}
