// The six questions of the night, answered from an overview. Pure.

import { age, count, many, rate } from "./words.js";

const PAYMENT_SLOW_MS = 10000; // as checkoutctl doctor has them
const WAITING_LONG_MS = 600000;
const DECISION_SLOW_MS = 2000;
const RELAY_SLOW_MS = 5000;
const UNCLEAR_LONG_MS = 60000;

/** good: nothing to do; idle: nothing happens; look: somebody should look; act: buyers feel it. `runbook`: the section of
 * docs/runbook.md that says what to do. */
const answer = (question, state, short, more, runbook = "") => ({ question, state, short, more, runbook });

const upOf = (daemons, program) => daemons.filter((daemon) => daemon.program === program && daemon.ready && !daemon.dead).length;

function selling({ now, needs, daemons }) {
  const short = `${rate(now.confirmed_per_second)} sold a second`;
  const more = `${rate(now.accepted_per_second)} accepted, ${rate(now.refused_per_second)} refused a second`;
  const decided = now.confirmed_per_second + now.refused_per_second;
  if (needs.unserved > 0) return answer("Are we selling?", "act", short, `${many(needs.unserved, "shard")} without a consumer. ${more}`, "CheckoutUnserved");
  if (upOf(daemons, "producer") === 0)
    return answer("Are we selling?", "act", short, "No producer takes orders: what is sold came before", "CheckoutNoProducer");
  if (needs.stopped > 0) return answer("Are we selling?", "act", short, `Payments are stopped. ${more}`, "CheckoutPaymentsStopped");
  if (now.confirmed_per_second > 0) return answer("Are we selling?", "good", short, more);
  if (now.accepted_per_second >= 1 && decided === 0 && now.open_payments === 0 && now.decision_p95_ms === null)
    return answer("Are we selling?", "act", "No: nothing is decided", more, "CheckoutUndecided");
  if (now.open_payments > 0 && now.payment_ms >= PAYMENT_SLOW_MS)
    return answer("Are we selling?", "act", "No: payments do not end", more, "CheckoutGatewaySlow");
  return answer("Are we selling?", "idle", now.accepted_per_second > 0 ? "Nothing sold just now" : "No orders just now", more);
}

/** Orders that are accepted and not decided are in RabbitMQ, and in no number of the overview. */
function waiting({ now, needs }) {
  if (needs.unserved > 0)
    return answer("Are buyers waiting?", "act", "Yes, for a consumer", `what is accepted in ${many(needs.unserved, "shard")}; ${count(now.waiting)} in lines of items`,
      "CheckoutUnserved");
  const lines = now.waiting === 0 ? "no item has a line" : `${many(now.waiting, "order")} in line, the first for ${age(now.waiting_ms)}`;
  if (now.open_payments > 0 && (needs.stopped > 0 || now.payment_ms >= PAYMENT_SLOW_MS))
    return answer("Are buyers waiting?", "act", "Yes, for the gateway", `${many(now.open_payments, "payment")}, the first for ${age(now.payment_ms)}; ${lines}`,
      needs.stopped > 0 ? "CheckoutPaymentsStopped" : "CheckoutGatewaySlow");
  if (now.waiting === 0) return answer("Are buyers waiting?", "good", "No", lines);
  return answer("Are buyers waiting?", now.waiting_ms >= WAITING_LONG_MS ? "act" : "good", many(now.waiting, "order"), `the first for ${age(now.waiting_ms)}`);
}

/** Whatever holds the sale up, the worst first: [state, what it is, more, runbook]. */
function causes({ now, needs, shards }) {
  const found = [];
  const unrelayed = Math.max(0, ...shards.map((shard) => shard.unrelayed_ms));
  const why = shards.find((shard) => shard.payments_stopped !== null)?.payments_stopped;
  if (needs.unserved > 0) found.push(["act", `${many(needs.unserved, "shard")} unserved`, "their orders wait for a consumer", "CheckoutUnserved"]);
  if (needs.stopped > 0) found.push(["act", "Payments are stopped", `in ${many(needs.stopped, "shard")}: ${why ?? ""}`, "CheckoutPaymentsStopped"]);
  if (now.payment_ms >= PAYMENT_SLOW_MS)
    found.push(["act", "The gateway is slow", `${many(now.open_payments, "payment")} open, the first for ${age(now.payment_ms)}`, "CheckoutGatewaySlow"]);
  if (now.decision_p95_ms >= DECISION_SLOW_MS) found.push(["look", "Decisions are slow", `19 of 20 within ${age(now.decision_p95_ms)}`, "CheckoutUndecided"]);
  if (unrelayed >= RELAY_SLOW_MS) found.push(["look", "News is late", `the oldest event waits for ${age(unrelayed)}`, "CheckoutNewsStuck"]);
  const paused = shards.filter((shard) => shard.paused).length;
  if (paused > 0) found.push(["look", `${many(paused, "shard")} paused`, "an operator asked for it"]);
  return found;
}

function slow(overview) {
  const { now } = overview;
  const [first, ...others] = causes(overview);
  if (first !== undefined)
    return answer("Why is it slow?", first[0], first[1], [first[2], ...others.map((cause) => cause[1])].join("; "), first[3]);
  const parts = [];
  if (now.decision_p95_ms !== null) parts.push(`decided in ${age(now.decision_p95_ms)}`);
  if (now.sale_p95_ms !== null) parts.push(`paid in ${age(now.sale_p95_ms)}`);
  return answer("Why is it slow?", "good", "It is not", parts.length > 0 ? `19 of 20: ${parts.join(", ")}` : "no orders to measure");
}

function hot({ hot_items: items }) {
  if (items.length === 0) return answer("Which item is hot?", "idle", "None", "no orders in the last 10 s");
  const [first] = items;
  const left = Math.max(0, first.stock - first.held - first.sold);
  return answer("Which item is hot?", "good", first.title,
    `${first.title === first.sku ? "" : `${first.sku}: `}${rate(first.orders_per_second)} orders a second, ${count(left)} left, ${count(first.waiting)} wait`);
}

function stuck({ now, needs, unclear }) {
  const failed = unclear.filter((row) => row.what === "refund failed").length;
  if (needs.stopped > 0) {
    const also = [needs.unclear > 0 ? `${count(needs.unclear)} unclear` : "", failed > 0 ? many(failed, "failed refund") : ""].filter(Boolean);
    return answer("Is money stuck?", "act", "Payments are stopped", [`in ${many(needs.stopped, "shard")}`, ...also].join("; "), "CheckoutPaymentsStopped");
  }
  if (failed > 0) return answer("Is money stuck?", "act", many(failed, "failed refund"), "money is owed to buyers", "CheckoutRefundFailed");
  if (needs.unclear > 0)
    return answer("Is money stuck?", needs.unclear_ms >= UNCLEAR_LONG_MS ? "act" : "look", `${count(needs.unclear)} unclear`,
      `the oldest for ${age(needs.unclear_ms)}`, "CheckoutMoneyUnclear");
  if (needs.unserved > 0 && now.open_payments > 0)
    return answer("Is money stuck?", "look", many(now.open_payments, "open payment"), `nothing follows those of ${many(needs.unserved, "shard")} without a consumer`,
      "CheckoutUnserved");
  return answer("Is money stuck?", "good", "No",
    now.open_payments > 0 ? `${many(now.open_payments, "payment")} at the gateway, none of them unclear` : "the gateway has answered for everything");
}

function api({ daemons }) {
  const parts = [];
  let state = "good";
  for (const [program, noun] of [["producer", "producer"], ["notifier", "notifier"]]) {
    const all = daemons.filter((daemon) => daemon.program === program);
    const up = upOf(daemons, program);
    parts.push(`${up} of ${many(all.length, noun)}`);
    if (up === 0) state = "act";
    else if (up < all.length && state === "good") state = "look";
  }
  const replaced = (daemon) => daemon.program === "consumer" && daemon.dead; // others serve its shards, or "Are we selling?" says no
  const ill = daemons.filter((daemon) => (daemon.dead || !daemon.ready) && !replaced(daemon)).length;
  if (ill > 0 && state === "good") state = "look";
  return answer("Is the API up?", state, `${parts[0]} up`, `${parts[1]} up; ${ill === 0 ? "every daemon is ready" : `${many(ill, "daemon")} not ready`}`,
    state === "act" ? "CheckoutNoProducer" : state === "look" ? "CheckoutDaemonDead" : "");
}

export function judge(overview) {
  return [selling, waiting, slow, hot, stuck, api].map((ask) => ask(overview));
}

/** How a shard is: [state, what to say of it]. */
export function judgeShard(shard) {
  if (!shard.served) return ["act", "unserved"];
  if (shard.payments_stopped !== null) return ["act", "payments stopped"];
  if (shard.payment_ms >= PAYMENT_SLOW_MS) return ["act", "gateway slow"];
  if (shard.paused) return ["look", "paused"];
  if (shard.waiting_ms >= WAITING_LONG_MS) return ["look", "long line"];
  if (shard.unrelayed_ms >= RELAY_SLOW_MS) return ["look", "news late"];
  return shard.decided_per_second > 0 || shard.waiting > 0 || shard.open_payments > 0 ? ["good", "selling"] : ["idle", "quiet"];
}
