// What the operators' page makes of an overview: the six answers, without a browser.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

// Node.js takes .js for modules only where a package.json says so, which is no file of the page.
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));
fs.cpSync(fileURLToPath(new URL("../../console/page", import.meta.url)), folder, { recursive: true });
fs.writeFileSync(path.join(folder, "package.json"), '{"type":"module"}');
after(() => fs.rmSync(folder, { recursive: true }));
const { judge, judgeShard } = await import(path.join(folder, "judge.js"));
const { age, money, rate } = await import(path.join(folder, "words.js"));

const daemon = (program, more = {}) => ({ program, ready: true, dead: false, ...more });
const shard = (more = {}) => ({ served: true, payments_stopped: null, paused: false, payment_ms: 0, waiting_ms: 0, unrelayed_ms: 0,
  decided_per_second: 0, waiting: 0, open_payments: 0, ...more });
const item = { sku: "dress", title: "A dress", orders_per_second: 4, stock: 9, held: 2, sold: 3, waiting: 5 };

/** An overview of a sale in which all is well, with what is different. */
function overview({ now, needs, ...more } = {}) {
  return { now: { accepted_per_second: 5, confirmed_per_second: 4, refused_per_second: 1, open_payments: 3, payment_ms: 200, waiting: 0, waiting_ms: 0,
    decision_p95_ms: 20, sale_p95_ms: 300, ...now }, needs: { unserved: 0, stopped: 0, unclear: 0, unclear_ms: 0, ...needs },
  shards: [shard()], hot_items: [item], unclear: [], daemons: [daemon("producer"), daemon("notifier"), daemon("consumer")], ...more };
}

const QUESTIONS = ["selling", "waiting", "slow", "hot", "stuck", "api"];
const answers = (different) => Object.fromEntries(judge(overview(different)).map((answer, place) => [QUESTIONS[place], answer]));

function says(different, question, state, words, runbook = "") {
  const answer = answers(different)[question];
  assert.deepEqual([answer.state, answer.runbook], [state, runbook]);
  assert.match(`${answer.short}: ${answer.more}`, words);
}

test("a sale in which all is well is green, and calls for no page of the runbook", () => {
  for (const answer of judge(overview())) assert.deepEqual([answer.state, answer.runbook], ["good", ""], answer.question);
});

test("are we selling", () => {
  says({ needs: { unserved: 2 } }, "selling", "act", /2 shards without a consumer/, "CheckoutUnserved");
  says({ daemons: [daemon("producer", { dead: true })] }, "selling", "act", /No producer takes orders/, "CheckoutNoProducer");
  says({ needs: { stopped: 1 } }, "selling", "act", /Payments are stopped/, "CheckoutPaymentsStopped");
  const none = { confirmed_per_second: 0, refused_per_second: 0 };
  says({ now: { ...none, open_payments: 0, decision_p95_ms: null } }, "selling", "act", /nothing is decided/, "CheckoutUndecided");
  says({ now: { ...none, payment_ms: 10000 } }, "selling", "act", /payments do not end/, "CheckoutGatewaySlow");
  says({ now: { ...none, accepted_per_second: 0, open_payments: 0 } }, "selling", "idle", /No orders just now/);
});

test("are buyers waiting", () => {
  says({ now: { waiting: 3, waiting_ms: 5000 } }, "waiting", "good", /3 orders: the first for 5.0 s/);
  says({ now: { waiting: 3, waiting_ms: 5000, payment_ms: 10000 } }, "waiting", "act", /^Yes, for the gateway: 3 payments, the first for 10 s; 3 orders in line, the first for 5.0 s/,
    "CheckoutGatewaySlow");
  says({ needs: { stopped: 2 } }, "waiting", "act", /^Yes, for the gateway: 3 payments, the first for 200 ms; no item has a line/, "CheckoutPaymentsStopped");
  says({ needs: { stopped: 2 }, now: { open_payments: 0 } }, "waiting", "good", /^No: no item has a line/);
  says({ now: { waiting: 3, waiting_ms: 600000 } }, "waiting", "act", /10 min/);
  says({}, "waiting", "good", /No: no item has a line/);
  says({ needs: { unserved: 2 }, now: { waiting: 1200 } }, "waiting", "act", /Yes, for a consumer: what is accepted in 2 shards; 1,200 in lines/, "CheckoutUnserved");
});

test("why is it slow: the worst cause first, the others behind it", () => {
  says({ now: { payment_ms: 12000 } }, "slow", "act", /The gateway is slow: 3 payments open, the first for 12 s/, "CheckoutGatewaySlow");
  says({ now: { decision_p95_ms: 2000 } }, "slow", "look", /Decisions are slow/, "CheckoutUndecided");
  says({ shards: [shard({ unrelayed_ms: 5000 })] }, "slow", "look", /News is late/, "CheckoutNewsStuck");
  says({ shards: [shard({ paused: true })] }, "slow", "look", /1 shard paused/);
  says({ needs: { stopped: 1 }, shards: [shard({ payments_stopped: "failing: http_503", unrelayed_ms: 5000 })] }, "slow", "act",
    /Payments are stopped: in 1 shard: failing: http_503; News is late/, "CheckoutPaymentsStopped");
  says({ now: { decision_p95_ms: null, sale_p95_ms: null } }, "slow", "good", /no orders to measure/);
});

test("which item is hot", () => {
  says({}, "hot", "good", /A dress: dress: 4.0 orders a second, 4 left, 5 wait/);
  says({ hot_items: [{ ...item, title: "dress", held: 9 }] }, "hot", "good", /^dress: 4.0 orders a second, 0 left/);
  says({ hot_items: [] }, "hot", "idle", /None/);
});

test("is money stuck", () => {
  says({}, "stuck", "good", /No: 3 payments at the gateway, none of them unclear/);
  says({ now: { open_payments: 0 } }, "stuck", "good", /No: the gateway has answered for everything/);
  says({ needs: { unserved: 2 } }, "stuck", "look", /3 open payments: nothing follows those of 2 shards/, "CheckoutUnserved");
  says({ needs: { unserved: 2 }, now: { open_payments: 0 } }, "stuck", "good", /No/);
  says({ needs: { unclear: 1, unclear_ms: 59000 } }, "stuck", "look", /1 unclear/, "CheckoutMoneyUnclear");
  says({ needs: { unclear: 1, unclear_ms: 60000 } }, "stuck", "act", /60 s/, "CheckoutMoneyUnclear");
  says({ unclear: [{ what: "refund failed" }] }, "stuck", "act", /1 failed refund/, "CheckoutRefundFailed");
  says({ needs: { stopped: 3 } }, "stuck", "act", /: in 3 shards$/, "CheckoutPaymentsStopped");
  says({ needs: { stopped: 3, unclear: 1 }, unclear: [{ what: "refund failed" }] }, "stuck", "act", /in 3 shards; 1 unclear; 1 failed refund/,
    "CheckoutPaymentsStopped");
});

test("is the API up", () => {
  says({ daemons: [daemon("producer", { ready: false }), daemon("notifier")] }, "api", "act", /0 of 1 producer up/, "CheckoutNoProducer");
  says({ daemons: [daemon("producer"), daemon("producer", { dead: true }), daemon("notifier")] }, "api", "look", /1 of 2 producers up/, "CheckoutDaemonDead");
  says({ daemons: [daemon("producer"), daemon("notifier"), daemon("mailer", { ready: false })] }, "api", "look", /1 daemon not ready/, "CheckoutDaemonDead");
  says({ daemons: [daemon("producer"), daemon("notifier"), daemon("consumer"), daemon("consumer", { dead: true })] }, "api", "good", /1 of 1 producer up/);
  says({ daemons: [daemon("producer"), daemon("notifier"), daemon("consumer", { ready: false })] }, "api", "look", /1 daemon not ready/, "CheckoutDaemonDead");
  says({ daemons: [] }, "api", "act", /0 of 0 producers up/, "CheckoutNoProducer");
});

test("a shard", () => {
  const words = (more) => judgeShard(shard(more)).join(" ");
  assert.deepEqual([{ served: false, paused: true }, { payments_stopped: "x" }, { payment_ms: 10000 }, { paused: true }, { waiting_ms: 600000 },
    { unrelayed_ms: 5000 }, { waiting: 1 }, {}].map(words), ["act unserved", "act payments stopped", "act gateway slow", "look paused", "look long line",
    "look news late", "good selling", "idle quiet"]);
});

test("every section of the runbook that an answer names is there", () => {
  const runbook = fs.readFileSync(new URL("../../docs/runbook.md", import.meta.url), "utf8");
  const named = new Set(fs.readFileSync(path.join(folder, "judge.js"), "utf8").match(/"Checkout\w+"/g).map((name) => name.slice(1, -1)));
  assert.ok(named.size >= 7);
  for (const name of named) assert.ok(runbook.includes(`\n## ${name}\n`), name);
});

test("numbers as people read them", () => {
  assert.deepEqual([0, 999, 1000, 9949, 9950, 119999, 120000, 7200000, 172800000, null].map(age),
    ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "120 s", "2 min", "2.0 h", "2 days", "–"]);
  assert.deepEqual([0, 0.04, 9.96, 10, 1240, null].map(rate), ["0", "0.0", "10.0", "10", "1,240", "–"]);
  const said = (amount, currency) => money(amount, currency).replace(/\s/g, " ");
  assert.deepEqual([said(1999, "usd"), said(500, "jpy"), said(5, "no such")], ["$19.99", "¥500", "5 no such"]);
  assert.deepEqual([said(100000, "huf"), said(199900, "isk"), said(5000, "lak"), said(12340, "kwd")],
    ["HUF 1,000.00", "ISK 1,999.00", "LAK 50.00", "KWD 12.340"]);
});
