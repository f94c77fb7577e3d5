// What a team would build in place of the producer, as well as it deserves: Fastify and amqplib. It checks the
// customer's token and the order, gives it an id, and answers 202 once RabbitMQ has confirmed its message, which
// is persistent and stands in one of N quorum queues. It knows no idempotency key, no gate and no limits.
//
//   door.mjs PORT QUEUES AMQP_URL SECRET_FILE

import { randomUUID } from "node:crypto";
import fs from "node:fs";

import amqp from "amqplib";
import { createVerifier } from "fast-jwt";
import Fastify from "fastify";

const [port, queues, url, secretFile] = process.argv.slice(2);
const PREFIX = "bench.peer.";
const CUSTOMERS = 5000; // whose tokens are remembered once they were checked

const connection = await amqp.connect(url, { noDelay: true });
const channel = await connection.createConfirmChannel();
for (let number = 0; number < Number(queues); number++) {
  await channel.deleteQueue(PREFIX + number);
  await channel.assertQueue(PREFIX + number, { durable: true, arguments: { "x-queue-type": "quorum" } });
}

const verify = createVerifier({
  key: fs.readFileSync(secretFile, "utf8").trim(),
  algorithms: ["HS256"],
  allowedAud: "checkout",
  cache: CUSTOMERS,
});

/** Which queue an item's orders stand in: all of one item in the same. */
function queueOf(sku) {
  let hash = 2166136261;
  for (let at = 0; at < sku.length; at++) hash = Math.imul(hash ^ sku.charCodeAt(at), 16777619);
  return PREFIX + ((hash >>> 0) % Number(queues));
}

/** Resolves once the broker has the message on its disks. */
function publish(queue, job) {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify(job)), { persistent: true, contentType: "application/json" },
      (error) => (error ? reject(error) : resolve()));
  });
}

const app = Fastify({ logger: false });
app.decorateRequest("user", "");
app.addHook("onRequest", async (request, reply) => {
  try {
    request.user = verify(request.headers.authorization?.slice("Bearer ".length) ?? "").sub;
  } catch {
    return reply.code(401).send({ title: "no valid token" });
  }
});
app.post("/v1/orders", {
  schema: {
    body: {
      type: "object",
      additionalProperties: false,
      required: ["sku", "quantity", "payment_method"],
      properties: {
        sku: { type: "string", minLength: 1, maxLength: 64 },
        quantity: { type: "integer", minimum: 1, maximum: 10 },
        payment_method: { type: "string", minLength: 1, maxLength: 128 },
        reference: { type: "string", maxLength: 200 },
      },
    },
    response: {
      202: {
        type: "object",
        properties: { id: { type: "string" }, status: { type: "string" }, message: { type: "string" }, status_url: { type: "string" } },
      },
    },
  },
}, async (request, reply) => {
  const id = randomUUID();
  await publish(queueOf(request.body.sku), { id, user: request.user, accepted_at: Date.now(), ...request.body });
  return reply.code(202).header("location", `/v1/orders/${id}`).send({
    id,
    status: "queued",
    message: "We're reserving your item! We'll confirm your order shortly.",
    status_url: `/v1/orders/${id}`,
  });
});

await app.listen({ host: "127.0.0.1", port: Number(port) });
process.on("SIGTERM", async () => {
  for (let number = 0; number < Number(queues); number++) await channel.deleteQueue(PREFIX + number);
  process.exit(0);
});
console.log("listening");
