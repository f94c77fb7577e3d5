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

/** Asks all three of each question, keeps what they say, then looks at the page. `panel`: its title, and whether its series
 * ([labels, value] each) show the fault. */
async function ask(name, ...questions) {
  const notes = [];
  for (const { question, answer, state, command, shows, panel: [title, fault] } of questions) {
    await olga.says(question, answer, state);
    let said;
    await until(`checkoutctl ${command} to show it`, async () => shows.test(said = await world.says({ arguments: command.split(" ") })))
      .catch((error) => { throw new Error(`${error.message}: ${said}`); });
    let series;
    await until(`${title} to show it`, async () => fault(series = await world.panel({ title })), 40)
      .catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(series)}`); });
    notes.push(`${question}\n\n$ checkoutctl ${command}\n${said}`, `Panel "${title}":\n${series.map(([labels, value]) =>
      `${JSON.stringify(labels)} ${value}`).join("\n")}\n`);
  }
  olga.note(name, [...notes, `Page:\n${await olga.page.locator("#answers").innerText()}\n`].join("\n"));
  await olga.look(name);
}

const any = (test) => (series) => series.some(([labels, value]) => test(value, labels));

test("a sale in which all is well", slow, async () => {
  for (const question of ["Are we selling?", "Why is it slow?", "Is money stuck?", "Is the API up?"]) await olga.says(question, "", "good");
  await olga.look("night-well");
});

test("no consumer: are we selling?", slow, async () => {
  await world.kill({ name: "consumer" });
  await ask("night-no-consumer", { question: "Are we selling?", answer: "4 shards without a consumer", state: "act",
    command: "top --once", shows: /4 of them unserved/, panel: ["Shards without a consumer, dead letters, items set aside", any((value) => value === 4)] });
  await world.start_again({ name: "consumer" });
  await olga.says("Are we selling?", "sold a second", "good");
});

test("one hot item: are buyers waiting, and which item is hot?", slow, async () => {
  const hot = await world.item({ stock: 2, title: "Comet runner, numbered" });
  const held = new Map();
  for (const user of ["first", "second"]) { // their bank asks them, so that its units are held
    held.set(user, await world.order({ user, sku: hot, payment_method: "pm_card_threeDSecure2Required" }));
    await world.wait({ order: held.get(user), status: "reserved" });
  }
  await world.rush({ sku: hot });
  await ask("night-hot-item", { question: "Which item is hot?", answer: hot, state: "good", command: "top --once", shows: new RegExp(`hot: ${hot} `),
    panel: ["Orders of the hottest items, by rank (checkoutctl top names them)", (series) => { // it has two thirds of them all
      const [first, second] = ["1", "2"].map((rank) => series.find(([labels]) => labels.rank === rank)?.[1]);
      return first > 0 && first >= 1.5 * second;
    }] },
  { question: "Are buyers waiting?", answer: "orders", command: "top --once", shows: new RegExp(`${hot} +\\d`),
    panel: ["Waitlists, by shard", any((value) => value > 20)] });
  await world.calm();
  for (const [user, order] of held) await world.cancel({ user, order });
  await olga.says("Are buyers waiting?", "No", "good");
});

test("a slow gateway: why is it slow?", slow, async () => {
  await world.latency({ milliseconds: 15000 });
  await ask("night-slow-gateway", { question: "Why is it slow?", answer: "The gateway is slow", state: "act", command: "top --once",
    shows: /gateway: \d+ payments wait for it, the first for (\d\ds|\d+m)/, panel: ["Steps, 95 %", any((value) => value > 5)] },
  { question: "Are buyers waiting?", answer: "Yes, for the gateway", state: "act", command: "top --once",
    shows: /gateway: \d+ payments wait for it/, panel: ["Open payments and refunds", any((value) => value > 0)] });
  await world.latency({ milliseconds: 0 });
  await olga.says("Why is it slow?", "It is not", "good");
});

test("stopped payments, one of them unclear: is money stuck?", slow, async () => {
  await world.stop({ name: "sandbox" });
  await ask("night-payments-stopped", { question: "Is money stuck?", answer: "Payments are stopped", state: "act", command: "doctor",
    shows: /the gateway fails mostly: stopped in \d+ shards/, panel: ["Shards whose payments are stopped", any((value) => value > 0)] });
  await world.start_again({ name: "sandbox" });
  await olga.says("Is money stuck?", "No", "good");
});

test("a dead producer: is the API up?", slow, async () => {
  await world.kill({ name: "producer" });
  await ask("night-dead-producer", { question: "Is the API up?", answer: "0 of 1 producer up", state: "act", command: "top --once",
    shows: /producer at .* is dead: no heartbeat/, panel: ["Daemons", any((value, { program, state }) => program === "producer" && state === "dead" && value === 1)] });
  await world.start_again({ name: "producer" });
  await olga.says("Is the API up?", "1 of 1 producer up");
});
