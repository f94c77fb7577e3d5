// Buying: once, whatever happens on the way.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Buyer, closeBrowser, item } from "./lib/browser.mjs";
import { SHOP, slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

/** Exactly one order of this item exists, it is confirmed, and its money was taken once. */
async function boughtOnce(sku) {
  const orders = await world.orders({ sku });
  assert.equal(orders.length, 1, JSON.stringify(orders));
  await world.wait({ order: orders[0].id, status: "confirmed" });
  assert.equal((await world.captured())[orders[0].id], 1);
  return orders[0];
}

test("a buyer buys, and finds it again after a reload and in another tab", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  assert.match(await ann.order().textContent(), /It is yours.*\$150/);
  await ann.page.reload();
  await ann.sees("confirmed");
  await ann.tab();
  await ann.sees("confirmed");
  assert.equal((await ann.statuses()).length, 1);
  await boughtOnce(dress.sku);
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("a double click is one order", async () => {
  const dress = await item({ stock: 5 });
  const ann = await Buyer.enter([dress]);
  await ann.button(dress.sku).dblclick();
  await ann.sees("confirmed");
  await boughtOnce(dress.sku);
  await ann.leave();
});

test("an answer that is lost, a reload, and the order is there: bought once", async () => {
  const dress = await item({ stock: 3 });
  const ann = await Buyer.enter([dress]);
  const end = await ann.loseAnswers();
  await ann.buy(dress.sku);
  await until("the order to reach the shop", async () => (await world.orders({ sku: dress.sku })).length === 1);
  await end();
  await ann.page.reload();
  await ann.sees("confirmed");
  assert.equal((await ann.statuses()).length, 1);
  await boughtOnce(dress.sku);
  await ann.leave();
});

test("a wish is stored before it is sent, and its card and e-mail go with the answer", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  let stored;
  await ann.context.route("**/v1/orders", async (route) => {
    if (route.request().method() === "POST") stored ??= await ann.storage();
    await route.fallback();
  });
  await world.latency({ milliseconds: 1500 });
  await ann.buy(dress.sku);
  await ann.sees("reserved");
  assert.match(stored, /pm_card_visa/);
  assert.match(stored, /locale\\":\\"en/); // the page's language, which mails speak, too
  const kept = await ann.storage();
  assert.match(kept, new RegExp((await world.orders({ sku: dress.sku }))[0].id));
  assert.doesNotMatch(kept, /pm_card/);
  await world.latency({ milliseconds: 0 });
  await ann.sees("confirmed");
  assert.doesNotMatch(await ann.storage(), /checkout:wish/);
  await ann.leave();
});

/** Five tabs of a first visit at once, whose sign-ins are answered late and in any order: how many customers they are. */
async function customersOfFiveTabs(take = () => {}) {
  const dress = await item({ stock: 5 });
  const ann = await Buyer.outside([dress]);
  await ann.context.addInitScript(take);
  const customers = await ann.signInLate();
  const tabs = await Promise.all(Array.from({ length: 5 }, () => ann.tab()));
  ann.page = tabs[0];
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  await Promise.all(tabs.map((tab) => tab.reload()));
  for (const tab of tabs) {
    ann.page = tab;
    await ann.sees("confirmed");
  }
  await boughtOnce(dress.sku);
  await ann.leave();
  return customers.size;
}

test("a first visit makes one customer, however many tabs begin at once", async () => {
  assert.equal(await customersOfFiveTabs(), 1);
});

test("a first visit makes one customer on plain http too, where tabs have no locks", slow, async () => {
  assert.equal(await customersOfFiveTabs(() => { delete Navigator.prototype.locks; }), 1);
});

test("another login never sends what was wished before, and the first one finds it again", async () => {
  const dress = await item({ stock: 2 });
  const ann = await Buyer.enter([dress]);
  const end = await ann.loseAnswers();
  let reached = 0;
  await ann.context.route("**/v1/orders", (route) => { // these do not even arrive
    if (route.request().method() !== "POST") return route.fallback();
    reached += 1;
    return route.abort("connectionrefused");
  });
  await ann.buy(dress.sku);
  await until("an attempt", () => reached > 0);
  const [hers] = await ann.context.cookies();
  await ann.page.goto("about:blank");
  await end();
  await ann.context.unrouteAll({ behavior: "ignoreErrors" });
  await ann.context.addCookies([{ ...hers, value: "demo-00000000deadbeef" }]);
  ann.orderCalls = [];
  await ann.tab(); // bob signs in, in the same browser
  await ann.page.waitForTimeout(3000);
  assert.deepEqual(await ann.statuses(), []);
  assert.equal(ann.orderCalls.filter((call) => call.startsWith("POST")).length, 0);
  assert.deepEqual(await world.orders({ sku: dress.sku }), []);
  await ann.page.close();
  await ann.context.addCookies([hers]);
  await ann.tab();
  await ann.sees("confirmed");
  assert.equal((await boughtOnce(dress.sku)).user, hers.value);
  await ann.leave();
});

test("after two minutes a wish is asked about, and sent or forgotten as its buyer says", async () => {
  const dress = await item({ stock: 2 });
  const ann = await Buyer.enter([dress]);
  let attempts = 0;
  await ann.context.route("**/v1/orders", (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    attempts += 1;
    return route.abort("connectionrefused");
  });
  await ann.buy(dress.sku);
  await until("an attempt", () => attempts > 0);
  await ann.page.goto("about:blank");
  await ann.context.unrouteAll({ behavior: "ignoreErrors" });
  ann.orderCalls = [];
  await ann.context.addInitScript(() => { const now = Date.now; Date.now = () => now() + 3 * 60 * 1000; });
  await ann.tab();
  await ann.sees("unsure");
  await ann.page.waitForTimeout(1500);
  assert.equal(ann.orderCalls.filter((call) => call.startsWith("POST")).length, 0);
  await ann.picture("unsure");
  await ann.order().getByRole("button", { name: "Send it" }).click();
  await ann.sees("confirmed");
  await boughtOnce(dress.sku);
  await ann.leave();
});

test("two buyers race for one dress: one has it, the other is told", async () => {
  const dress = await item({ stock: 1 });
  const [ann, bob] = await Promise.all([Buyer.enter([dress]), Buyer.enter([dress])]);
  await Promise.all([ann.buy(dress.sku), bob.buy(dress.sku)]);
  await Promise.all([ann, bob].map((buyer) => buyer.sees(["confirmed", "rejected", "refused"])));
  const states = [await ann.statuses(), await bob.statuses()].flat().sort();
  assert.deepEqual(states, ["confirmed", "rejected"]);
  const loser = (await ann.statuses())[0] === "rejected" ? ann : bob;
  assert.match(await loser.order().textContent(), /Sold out.*not charged/);
  assert.equal((await world.orders({ sku: dress.sku })).filter((one) => one.status === "confirmed").length, 1);
  await Promise.all([ann.leave(), bob.leave()]);
});

test("a declined card passes the dress on, live, and another card keeps the wish", async () => {
  const dress = await item({ stock: 1 });
  const [ann, bob] = await Promise.all([Buyer.enter([dress]), Buyer.enter([dress])]);
  await world.latency({ milliseconds: 280000 }); // what is looked at below comes before the decline
  await ann.pay("Card that is declined");
  await ann.buy(dress.sku);
  await ann.sees("reserved");
  await bob.buy(dress.sku);
  await bob.sees("waiting");
  await until("the place", async () => /You are next in line/.test(await bob.order().textContent()));
  await bob.picture("waiting");
  await bob.seesChip("live");
  bob.orderCalls = [];
  await world.latency({ milliseconds: 0 });
  await ann.sees("rejected");
  await bob.sees("confirmed");
  assert.deepEqual(bob.orderCalls, [], "pushed, not polled");
  await ann.picture("declined");
  const again = ann.order().getByRole("button", { name: "Try again" });
  await ann.order().getByLabel("Pay with").selectOption({ label: "Mastercard, pays" });
  await world.change({ sku: dress.sku, stock: 2 });
  await again.click();
  await ann.sees("confirmed");
  assert.deepEqual(await ann.statuses(), ["confirmed", "rejected"]);
  assert.equal(await ann.order(1).getByRole("button", { name: "Try again" }).isVisible(), false);
  await Promise.all([ann.leave(), bob.leave()]);
});

test("after a decline the next click is a new order, at once", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.pay("Card without funds");
  await ann.buy(dress.sku);
  await ann.sees("rejected");
  await ann.pay("Visa, pays");
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  assert.deepEqual(await ann.statuses(), ["confirmed", "rejected"]);
  await ann.leave();
});

test("who waits can leave the line, and who stands behind sees it move", async () => {
  const dress = await item({ stock: 1, held: 1 });
  const [ann, bob] = await Promise.all([Buyer.enter([dress]), Buyer.enter([dress])]);
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await bob.buy(dress.sku);
  await bob.sees("waiting");
  await until("the place", async () => /You are number 2 in line/.test(await bob.order().textContent()));
  await bob.seesChip("live");
  await until("the time to wait", async () => /You keep your place until/.test(await bob.order().textContent()));
  bob.orderCalls = [];
  await ann.order().getByRole("button", { name: "Leave the line" }).press("Enter");
  await ann.sees("cancelled");
  assert.equal(await ann.page.evaluate(() => document.activeElement.dataset.status), "cancelled"); // the keyboard's place
  await until("the next place", async () => /You are next in line/.test(await bob.order().textContent()));
  assert.deepEqual(bob.orderCalls, [], "pushed, not polled");
  assert.equal((await world.counts({ sku: dress.sku })).waiting, 1);
  assert.equal(await ann.order().getByRole("button").count(), 0); // of those that can be seen
  await ann.picture("cancelled");
  await Promise.all([ann.leave(), bob.leave()]);
});

test("events of another buyer never appear", async () => {
  const dress = await item({ stock: 10 });
  const [ann, bob] = await Promise.all([Buyer.enter([dress]), Buyer.enter([dress])]);
  const heard = [];
  ann.page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => heard.push(JSON.parse(payload))));
  await world.change({ sku: dress.sku, held: 10 });
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await bob.buy(dress.sku);
  await bob.sees("waiting");
  await world.order({ user: "carl", sku: dress.sku });
  const [hers, his] = await world.orders({ sku: dress.sku });
  await bob.order().getByRole("button", { name: "Leave the line" }).click();
  await bob.sees("cancelled");
  assert.equal((await ann.statuses()).length, 1);
  assert.ok(heard.length > 0 && heard.every((event) => !event.data.order_id || event.data.order_id === hers.id), JSON.stringify(heard));
  assert.notEqual(hers.user, his.user);
  await Promise.all([ann.leave(), bob.leave()]);
});

test("without storage the page says so before anybody buys, and sells all the same", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.context.addInitScript(() => {
    Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
  });
  await ann.tab();
  await until("the notice", async () => /keeps nothing/.test(await ann.page.locator("#notice").textContent()));
  await ann.picture("without-storage");
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("storage that is full in mid-visit is said before anything is sent", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.page.evaluate(() => { Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }; });
  ann.orderCalls = [];
  await ann.buy(dress.sku);
  await until("the notice", async () => /keeps nothing/.test(await ann.page.locator("#notice").textContent()));
  assert.equal(ann.orderCalls.filter((call) => call.startsWith("POST")).length, 0);
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  await ann.leave();
});

test("the shop works on plain http from another machine's point of view", async () => {
  // Chromium counts loopback as secure: so what a page on plain http lacks is taken away
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.context.addInitScript(() => {
    delete Crypto.prototype.randomUUID;
    delete Crypto.prototype.subtle;
    delete Navigator.prototype.locks;
    delete window.Notification;
  });
  await ann.tab();
  assert.equal(await ann.page.evaluate(() => typeof crypto.randomUUID), "undefined");
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("an order made elsewhere by the same buyer is in the list", slow, async () => {
  const dress = await item({ stock: 2 });
  const ann = await Buyer.enter([dress]);
  const [{ value }] = await until("the sign-in", async () => (await ann.context.cookies(SHOP)).length > 0 && ann.context.cookies(SHOP));
  const order = await world.order({ user: value, sku: dress.sku });
  await world.wait({ order, status: "confirmed" });
  await ann.page.reload();
  await ann.sees("confirmed");
  await ann.leave();
});
