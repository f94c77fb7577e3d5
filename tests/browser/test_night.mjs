// The six questions of the night, each under a fault: one command of checkoutctl, one panel of the dashboard, and one look at
// the operators' page answer it, as docs/runbook.md says. What all three said is kept beside the pictures.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeBrowser } from "./lib/browser.mjs";
import { Operator } from "./lib/operator.mjs";
import { slow, until, world } from "./lib/world.mjs";

const full = !slow.skip;
let olga = null;

before(async () => {
  if (!full) return;
  await world.begin_sale();
  olga = await Operator.enter("operator.read operator shop");
  await olga.says("Are we selling?", "sold a second", "good");
});

after(async () => {
  await olga?.leave();
  if (full) await world.end_sale();
  await closeBrowser();
});

/** Asks all three, and keeps what they say. `panel`: its title, and whether a series of it shows the fault. */
async function ask(name, { question, answer, state, command, shows, panel: [title, fault] }) {
  await olga.says(question, answer, state);
  let said;
  await until(`checkoutctl ${command} to show it`, async () => shows.test(said = await world.says({ arguments: command.split(" ") })));
  let series;
  await until(`${title} to show it`, async () => (series = await world.panel({ title })).some(fault), 40)
    .catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(series)}`); });
  olga.note(name, [question, `\n$ checkoutctl ${command}\n${said}`, `\nPanel "${title}":\n${series.map(([labels, value]) =>
    `${JSON.stringify(labels)} ${value}`).join("\n")}`, `\nPage:\n${await olga.page.locator("#answers").innerText()}\n`].join("\n"));
  await olga.look(name);
}

test("a sale in which all is well", slow, async () => {
  for (const question of ["Are we selling?", "Why is it slow?", "Is money stuck?", "Is the API up?"]) await olga.says(question, "", "good");
  await olga.look("night-well");
});

test("no consumer: are we selling?", slow, async () => {
  await world.kill({ name: "consumer" });
  await ask("night-no-consumer", { question: "Are we selling?", answer: "4 shards without a consumer", state: "act",
    command: "top --once", shows: /4 of them unserved/, panel: ["Shards without a consumer, dead letters, items set aside", ([, value]) => value === 4] });
  await world.start_again({ name: "consumer" });
  await olga.says("Are we selling?", "sold a second", "good");
});

test("one hot item: are buyers waiting, and which item is hot?", slow, async () => {
  const hot = await world.item({ stock: 2, title: "Comet runner, numbered" });
  for (const user of ["first", "second"]) { // their bank asks them for long, so nobody else gets a unit
    await world.wait({ order: await world.order({ user, sku: hot, payment_method: "pm_card_threeDSecure2Required" }), status: "reserved" });
  }
  await world.rush({ sku: hot });
  await ask("night-hot-item", { question: "Which item is hot?", answer: hot, state: "good", command: "top --once",
    shows: new RegExp(`hot: ${hot} `), panel: ["Orders of the hottest items, by rank (checkoutctl top names them)", ([{ rank }, value]) => rank === "1" && value > 30] });
  await ask("night-waiting", { question: "Are buyers waiting?", answer: "orders", command: "top --once", shows: new RegExp(`${hot} +\\d`),
    panel: ["Waitlists, by shard", ([, value]) => value > 20] });
  await world.calm();
});

test("a slow gateway: why is it slow?", slow, async () => {
  await world.latency({ milliseconds: 15000 });
  await ask("night-slow-gateway", { question: "Why is it slow?", answer: "The gateway is slow", state: "act", command: "top --once",
    shows: /gateway: \d+ payments wait for it, the first for 1\d/, panel: ["Steps, 95 %", ([, value]) => value > 5] });
  await world.latency({ milliseconds: 0 });
  await olga.says("Why is it slow?", "It is not", "good");
});

test("stopped payments, one of them unclear: is money stuck?", slow, async () => {
  await world.stop({ name: "sandbox" });
  await ask("night-payments-stopped", { question: "Is money stuck?", answer: "Payments are stopped", state: "act", command: "doctor",
    shows: /the gateway fails mostly: stopped in \d+ shards/, panel: ["Shards whose payments are stopped", ([, value]) => value > 0] });
  await world.start_again({ name: "sandbox" });
  await olga.says("Is money stuck?", "No", "good");
});

test("a dead producer: is the API up?", slow, async () => {
  await world.kill({ name: "producer" });
  await ask("night-dead-producer", { question: "Is the API up?", answer: "0 of 1 producer up", state: "act", command: "top --once",
    shows: /producer at .* is dead: no heartbeat/, panel: ["Daemons", ([{ program, state }, value]) => program === "producer" && state === "dead" && value === 1] });
  await world.start_again({ name: "producer" });
  await olga.says("Is the API up?", "1 of 1 producer up"); // the consumer that was killed is listed for 10 minutes
});
