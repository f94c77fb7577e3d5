// What the page says in each state of items and orders: the truth.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Buyer, closeBrowser, item } from "./lib/browser.mjs";
import { slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const HOUR = 3600 * 1000;
const at = (ms) => new Date(Date.now() + ms).toISOString();

/** Waits for a text in an item's card. */
const shelfSays = (buyer, dress, text) =>
  until(`the shelf to say ${text}`, async () => text.test(await buyer.item(dress.sku).innerText()));
const orderSays = (buyer, text) => until(`the order to say ${text}`, async () => text.test(await buyer.order().innerText()));

test("a paused item says so, keeps places, and goes on when it is resumed", async () => {
  const dress = await item({ stock: 1 });
  await world.ctl({ arguments: ["pause", dress.sku] });
  const ann = await Buyer.enter([dress]);
  await shelfSays(ann, dress, /Sales are paused; your place is kept/);
  assert.equal(await ann.button(dress.sku).innerText().then((text) => text.trim().startsWith("Join the line")), true);
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await orderSays(ann, /Sales are paused; your place is kept\. You are next in line/);
  await ann.picture("paused");
  await world.ctl({ arguments: ["resume", dress.sku] });
  await ann.sees("confirmed");
  await ann.leave();
});

test("an item that opens later counts down, and can be bought when it has opened", async () => {
  const opens = at(2 * HOUR);
  const dress = await item({ stock: 1, opens_at: opens });
  const ann = await Buyer.enter([dress]);
  await shelfSays(ann, dress, /Opens .*, in 1:\d\d:\d\d/);
  await until("a countdown that is right", async () => {
    const [, minutes, seconds] = /in 1:(\d\d):(\d\d)/.exec(await ann.item(dress.sku).innerText());
    return Math.abs(Date.parse(opens) - Date.now() - HOUR - (60 * minutes + 1 * seconds) * 1000) < 2000;
  });
  assert.equal(await ann.button(dress.sku).isDisabled(), true);
  await ann.picture("upcoming");
  await world.change({ sku: dress.sku, opens_at: at(1500) });
  await until("the button", () => ann.button(dress.sku).isEnabled());
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  await ann.leave();
});

test("closed and sold out items say so and cannot be bought", slow, async () => {
  const closed = await item({ stock: 1, closes_at: at(-HOUR) });
  const sold = await item({ stock: 1, sold: 1 });
  const ann = await Buyer.enter([closed, sold]);
  await shelfSays(ann, closed, /Sale over/);
  await shelfSays(ann, sold, /Sold out/);
  assert.equal(await ann.button(closed.sku).isDisabled(), true);
  assert.equal(await ann.button(sold.sku).isDisabled(), true);
  await ann.picture("closed-and-sold-out");
  await ann.leave();
});

test("an item whose units are all held offers the line, and says how long it is", slow, async () => {
  const dress = await item({ stock: 1, held: 1 });
  await world.order({ user: "first", sku: dress.sku });
  await until("the first to wait", async () => (await world.counts({ sku: dress.sku })).waiting === 1);
  const ann = await Buyer.enter([dress]);
  await shelfSays(ann, dress, /All spoken for, 1 in line/);
  await ann.buy(dress.sku);
  await orderSays(ann, /You are number 2 in line/);
  await ann.leave();
});

test("the place that is shown is never behind the end of the line", slow, async () => {
  const dress = await item({ stock: 1, held: 1 });
  const first = await world.order({ user: "ahead-1", sku: dress.sku });
  const second = await world.order({ user: "ahead-2", sku: dress.sku });
  const ann = await Buyer.enter([dress]);
  await ann.buy(dress.sku);
  await orderSays(ann, /You are number 3 in line/);
  await world.cancel({ user: "ahead-1", order: first });
  await orderSays(ann, /You are number 2 in line/);
  await world.cancel({ user: "ahead-2", order: second });
  await orderSays(ann, /You are next in line/);
  await ann.leave();
});

test("a limit says how many", slow, async () => {
  const pass = await item({ stock: 10, limit_per_user: 2 }, { most: 2 });
  const ann = await Buyer.enter([pass]);
  await ann.item(pass.sku).getByRole("combobox").selectOption("2");
  await ann.buy(pass.sku);
  await ann.sees("confirmed");
  await ann.page.waitForTimeout(1100); // no double click
  await ann.buy(pass.sku);
  await ann.sees("rejected");
  assert.match(await ann.order().textContent(), /One customer may have 2 of it/);
  await ann.picture("limit");
  await ann.leave();
});

test("a price that has changed, an end of the wait, a refund: each in its own words", slow, async () => {
  const dress = await item({ stock: 2 });
  const ann = await Buyer.enter([dress]);
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.page.route("**/v1/items/*", (route) => route.abort()); // it keeps the price it saw
  await world.change({ sku: dress.sku, price: 15500 });
  await ann.buy(dress.sku);
  await ann.sees("rejected");
  assert.match(await ann.order().textContent(), /The price has changed/);
  await ann.page.unroute("**/v1/items/*");
  await shelfSays(ann, dress, /\$155/);
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  const order = (await world.orders({ sku: dress.sku })).find((one) => one.status === "confirmed");
  await world.refund({ order: order.id });
  await until("the refund", async () => {
    await ann.page.reload();
    await ann.page.waitForTimeout(500);
    return (await ann.statuses())[0] === "refunded";
  });
  assert.match(await ann.order().textContent(), /money is on its way back/);
  await ann.picture("refunded");
  await ann.leave();
});

test("amounts have the gateway's minor units", async () => {
  const prices = [["huf", 100000, /HUF\s1,000(?!,)/], ["isk", 100000, /ISK\s1,000(?!,)/], ["ugx", 100000, /UGX\s1,000(?!,)/],
    ["idr", 10000050, /IDR\s100,000\.50/], ["jpy", 1500, /¥1,500(?!\.)/], ["kwd", 12345, /KWD\s12\.345/], ["usd", 15000, /\$150\.00/]];
  const shelf = await Promise.all(prices.map(([currency, price]) => item({ currency, price })));
  const ann = await Buyer.enter(shelf);
  for (const [index, [, , text]] of prices.entries()) await shelfSays(ann, shelf[index], text);
  await ann.leave();
});

test("the page speaks German where the browser does, or when asked to", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress], { locale: "de-DE" });
  await until("the price", () => ann.button(dress.sku).isEnabled());
  const sent = ann.page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/v1/orders"));
  await ann.buy(dress.sku);
  assert.equal((await sent).postDataJSON().locale, "de"); // mails speak it, too
  await ann.sees("confirmed");
  assert.match(await ann.order().innerText(), /Bestätigt[\s\S]*Es gehört Ihnen[\s\S]*150,00\s\$/);
  assert.equal(await ann.page.locator("html").getAttribute("lang"), "de");
  await ann.picture("german");
  await ann.page.getByRole("link", { name: "English" }).click();
  await ann.sees("confirmed");
  assert.match(await ann.order().innerText(), /It is yours/);
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("both languages have the same words", async () => {
  const [en, de] = await Promise.all(["en", "de"].map((code) => import(`../../deploy/web/js/words/${code}.js`)));
  const shape = (words) => (typeof words === "object" ? Object.fromEntries(Object.keys(words).sort().map((name) => [name, shape(words[name])])) : typeof words);
  const { items: _, ...german } = de.default;
  assert.deepEqual(shape(german), shape(en.default));
  const orders = ["sending", "unsure", "refused", "queued", "waiting", "reserved", "confirmed", "rejected", "cancelled", "refunded"];
  for (const status of orders) assert.equal(de.default.describe({ status }).length, en.default.describe({ status }).length);
});

test("what is sent again says why", async () => {
  for (const code of ["en", "de"]) {
    const { default: words } = await import(`../../deploy/web/js/words/${code}.js`);
    const say = (problem) => words.describe({ status: "sending", retrying: true, problem })[2];
    const [silent, full, busy] = [{ status: 0 }, { status: 429 }, { status: 503 }].map(say);
    assert.equal(new Set([silent, full, busy, words.describe({ status: "sending" })[2]]).size, 4);
    assert.equal(say({ status: 503, type: "/problems/accept-unknown" }), silent); // it may have arrived
  }
});

test("payment problems say what may help", async () => {
  const { default: words } = await import("../../deploy/web/js/words/en.js");
  const say = (payment_problem) => words.describe({ status: "rejected", reason: "payment_failed", payment_problem })[2];
  const known = ["use_another_method", "amount", "currency", "try_again"].map(say);
  assert.equal(new Set([...known, say(undefined)]).size, 5);
  assert.equal(say("of a later version"), say(undefined));
});

test("a refused e-mail address blames no card, and offers none", async () => {
  for (const code of ["en", "de"]) {
    const { default: words } = await import(`../../deploy/web/js/words/${code}.js`);
    const say = (param) => words.describe({ status: "rejected", reason: "payment_failed", payment_problem: "try_again", param })[2];
    assert.match(say("receipt_email"), /e-mail/i);
    assert.doesNotMatch(say("receipt_email"), /card|karte/i);
    assert.equal(say("of a later version"), say(undefined));
  }
});

test("keyboard only: from the first focus to a confirmed order", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.page.keyboard.press("Tab");
  assert.equal(await ann.page.evaluate(() => document.activeElement.textContent), "To the shelf");
  await ann.page.keyboard.press("Tab");
  await ann.page.keyboard.press("ArrowDown"); // another card
  assert.equal(await ann.page.evaluate(() => document.activeElement.value), "pm_card_mastercard");
  await ann.page.keyboard.press("Tab"); // how many
  await ann.page.keyboard.press("Tab");
  assert.equal(await ann.page.evaluate(() => document.activeElement.textContent), `Buy now ${dress.title}`);
  await ann.page.keyboard.press("Enter");
  await ann.sees("confirmed");
  await until("it to be said", async () => /Confirmed\. It is yours/.test(await ann.page.getByRole("status").textContent()));
  await ann.leave();
});

test("names that are heard are those that are seen", async () => {
  const shelf = [await item({ stock: 1 }), await item({ stock: 1, sold: 1 }), await item({ stock: 1, held: 1 })];
  const ann = await Buyer.enter(shelf);
  for (const [index, name] of ["Buy now", "Sold out", "Join the line"].entries())
    await until(name, () => ann.item(shelf[index].sku).getByRole("button", { name: `${name} ${shelf[index].title}`, exact: true }).count());
  assert.equal(await ann.page.getByRole("heading", { level: 1 }).count(), 1);
  await ann.leave();
});
