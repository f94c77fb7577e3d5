#!/usr/bin/env node
// Publishes orders to Checkout's queues without its API: docs/publishing.md.
//
//     node publish.mjs URL SHARDS SECRET_FILE <orders
//
// As publish.py. Needs what package.json names: npm ci.

import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import amqp from "amqplib";
import { xxhash3 } from "hash-wasm";

const JOBS_MAX = 256;

export async function shardOf(sku, shards) {
  return Number(BigInt("0x" + (await xxhash3(sku))) % BigInt(shards));
}

export function orderId(secret, user, key) {
  const name = createHash("sha256").update(`checkout-order\0${user}\0${key}`).digest().subarray(0, 10);
  name[9] &= 0b11000000; // 74 bits
  const mac = createHmac("sha256", Buffer.from(secret, "latin1")).update("checkout-id\0").update(name).update(user).digest();
  const bits = (BigInt("0x" + name.toString("hex")) >> 6n << 48n) | BigInt("0x" + mac.toString("hex", 0, 6)); // 122
  const uuid = (bits >> 74n << 80n) | (0b1000n << 76n) | ((bits >> 62n & 0xfffn) << 64n) | (0b10n << 62n)
    | (bits & ((1n << 62n) - 1n));
  return uuid.toString(16).padStart(32, "0").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export function fingerprint(order) {
  const price = order.unit_price === undefined ? "-0" : `@${order.unit_price}`;
  const lines = [order.sku, `${order.quantity}${price}`, order.payment_method, order.receipt_email ?? "", order.reference ?? ""];
  return createHash("sha256").update(lines.map((line) => line + "\n").join("")).digest("hex").slice(0, 32);
}

function job(order, secret) {
  const { user, key, sku, quantity, payment_method, receipt_email, unit_price, reference } = order;
  return {
    order_id: orderId(secret, user, key),
    user_id: user,
    accepted_at: new Date().toISOString(),
    fingerprint: fingerprint(order),
    sku, quantity, payment_method, receipt_email, unit_price, reference, // JSON leaves out what is undefined
  };
}

/** Resolves once the broker has confirmed them; rejects if it returns or refuses them. */
function publish(channel, shard, shards, jobs) {
  return new Promise((resolve, reject) => {
    const returned = () => reject(new Error(`no queue for shard ${shard}: checkoutctl topology?`));
    channel.once("return", returned);
    channel.publish(`checkout.jobs.${shards}`, String(shard), Buffer.from(JSON.stringify({ version: 1, jobs })), {
      persistent: true, mandatory: true, type: "checkout.jobs.v1", contentType: "application/json",
      headers: { "x-job-count": jobs.length },
    }, (refused) => {
      channel.off("return", returned);
      if (refused) reject(refused);
      else resolve();
    });
  });
}

async function main([url, shardCount, secretFile]) {
  const shards = Number(shardCount);
  const secret = readFileSync(secretFile, "latin1").replace(/\n$/, "");
  const byShard = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const shard = await shardOf(order.sku, shards);
    byShard.set(shard, [...(byShard.get(shard) ?? []), job(order, secret)]);
  }
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  for (const [shard, jobs] of byShard) {
    for (let from = 0; from < jobs.length; from += JOBS_MAX) {
      const part = jobs.slice(from, from + JOBS_MAX);
      await publish(channel, shard, shards, part);
      for (const sent of part) console.log(sent.order_id);
    }
  }
  await connection.close();
}

if (process.argv[1]?.endsWith("publish.mjs")) {
  if (process.argv.length !== 5) {
    console.error("usage: node publish.mjs URL SHARDS SECRET_FILE <orders");
    process.exit(2);
  }
  await main(process.argv.slice(2));
}
