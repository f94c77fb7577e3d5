// What a team would build in place of the consumer, as well as it deserves: amqplib, pg and ioredis. An order's item
// is locked from the look at its stock to the commit, the gateway is asked after that with the order's id as
// idempotency key, and only then does the buyer hear of it and RabbitMQ of the end. An order that comes again goes on
// from where its row stands. It knows no waiting list, no order of arrival, no fence, no limit for a customer, and no
// search for a payment that stays unclear.
//
//   consumer.mjs QUEUES AMQP_URL DATABASE_URL REDIS_URL GATEWAY_URL GATEWAY_KEY_FILE

import fs from "node:fs";
import http from "node:http";

import amqp from "amqplib";
import Redis from "ioredis";
import pg from "pg";

const [queues, amqpUrl, databaseUrl, redisUrl, gatewayUrl, keyFile] = process.argv.slice(2);
const PREFIX = "bench.peer.";
const PREFETCH = 64; // orders under way, of all queues
const SESSIONS = 8; // more do not decide faster on two cores
const PRICE = 1999;
const RETRY_MS = 200;

const database = new pg.Pool({ connectionString: databaseUrl, max: SESSIONS });
const redis = new Redis(redisUrl, { enableAutoPipelining: true });
const agent = new http.Agent({ keepAlive: true, maxSockets: PREFETCH });
const authorization = `Bearer ${fs.readFileSync(keyFile, "utf8").trim()}`;

const LOCK = { name: "lock", text: "select stock from peer.items where sku = $1 for update" };
const TAKE = { name: "take", text: "update peer.items set stock = stock - $2 where sku = $1" };
const INSERT = {
  name: "insert",
  text:
    "insert into peer.orders (order_id, user_id, sku, quantity, status, reference) values ($1, $2, $3, $4, $5, $6) " +
    "on conflict do nothing",
};
const STATUS = { name: "status", text: "select status from peer.orders where order_id = $1" };
const CONFIRM = { name: "confirm", text: "update peer.orders set status = 'confirmed' where order_id = $1" };
const REJECT = { name: "reject", text: "update peer.orders set status = 'rejected' where order_id = $1" };

async function transaction(work) {
  const session = await database.connect();
  try {
    await session.query("begin");
    const result = await work(session);
    await session.query("commit");
    return result;
  } catch (error) {
    await session.query("rollback");
    throw error;
  } finally {
    session.release();
  }
}

/** Takes the units, or refuses the order; its state. */
function reserve(job) {
  return transaction(async (session) => {
    const { rows } = await session.query({ ...LOCK, values: [job.sku] });
    const status = rows.length > 0 && rows[0].stock >= job.quantity ? "reserved" : "rejected";
    const values = [job.id, job.user, job.sku, job.quantity, status, job.reference];
    const { rowCount } = await session.query({ ...INSERT, values });
    if (rowCount === 0) return (await session.query({ ...STATUS, values: [job.id] })).rows[0].status;
    if (status === "reserved") await session.query({ ...TAKE, values: [job.sku, job.quantity] });
    return status;
  });
}

/** The gateway's status code. */
function charge(job) {
  const form = new URLSearchParams({
    amount: PRICE * job.quantity,
    currency: "usd",
    confirm: "true",
    payment_method: job.payment_method,
    "automatic_payment_methods[enabled]": "true",
    "automatic_payment_methods[allow_redirects]": "never",
    "metadata[order_id]": job.id,
  }).toString();
  const headers = {
    authorization,
    "idempotency-key": job.id,
    "content-type": "application/x-www-form-urlencoded",
    "content-length": Buffer.byteLength(form),
  };
  return new Promise((resolve, reject) => {
    const request = http.request(`${gatewayUrl}/v1/payment_intents`, { method: "POST", agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    });
    request.on("error", reject);
    request.end(form);
  });
}

/** Asks under the same key until the answer is definite; whether it was paid. */
async function pay(job) {
  for (;;) {
    const code = await charge(job).catch(() => 503);
    if (code === 200 || code === 402) return code === 200;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function settle(job, paid) {
  if (paid) {
    await database.query({ ...CONFIRM, values: [job.id] });
    return "confirmed";
  }
  await transaction(async (session) => {
    await session.query({ ...TAKE, values: [job.sku, -job.quantity] });
    await session.query({ ...REJECT, values: [job.id] });
  });
  return "rejected";
}

async function serve(job) {
  let status = await reserve(job);
  if (status === "reserved") status = await settle(job, await pay(job));
  const event = {
    specversion: "1.0",
    id: `${job.id}-${status}`,
    type: `checkout.order.${status}.v1`,
    subject: job.id,
    time: new Date().toISOString(),
    data: { order_id: job.id, sku: job.sku, quantity: job.quantity, status, reference: job.reference },
  };
  await redis.publish(`peer:events:${job.user}`, JSON.stringify(event));
}

const connection = await amqp.connect(amqpUrl, { noDelay: true });
const channel = await connection.createChannel();
await channel.prefetch(Math.ceil(PREFETCH / Number(queues)));
for (let number = 0; number < Number(queues); number++) {
  await channel.consume(PREFIX + number, async (message) => {
    if (message === null) return; // the queue was deleted
    try {
      await serve(JSON.parse(message.content.toString()));
      channel.ack(message);
    } catch (error) {
      console.error(error);
      channel.nack(message);
    }
  });
}
process.on("SIGTERM", () => process.exit(0));
console.log("listening");
