// A hundred first visits, and twenty answers that are lost: nobody buys twice, nobody loses an order.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Buyer, closeBrowser, item } from "./lib/browser.mjs";
import { slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

/** Runs `work` for each of 0…count-1, some at a time; none begins after one has failed. */
async function each(count, atOnce, work) {
  let next = 0;
  const stop = (error) => { next = count; throw error; };
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) await work(next++).catch(stop);
  }));
}

/** Every order of these items is confirmed and paid for once; returns them. */
async function settled(skus) {
  const orders = (await Promise.all(skus.map((sku) => world.orders({ sku })))).flat();
  for (const order of orders) await world.wait({ order: order.id, status: "confirmed" });
  const captured = await world.captured();
  for (const order of orders) assert.equal(captured[order.id], 1, order.id);
  return orders;
}

test("a hundred fresh visitors, each with five tabs at once, keep their orders over a reload", slow, async () => {
  const shelf = [await item({ stock: 500 }), await item({ stock: 500 }), await item({ stock: 500 }), await item({ stock: 500 })];
  const known = new Map(); // the order that a page has shown → the visitor
  await each(100, 4, async (visitor) => {
    const buyer = await Buyer.outside(shelf);
    if (visitor % 2 === 1) await buyer.context.addInitScript(() => { delete Navigator.prototype.locks; }); // as on plain http
    await buyer.signInLate();
    const tabs = await Promise.all(Array.from({ length: 5 }, () => buyer.tab()));
    buyer.page = tabs[visitor % 5];
    await buyer.buyPatiently(shelf[visitor % 4].sku);
    await buyer.sees("confirmed", { seconds: 60 });
    const id = /order ([0-9a-f-]{36})/.exec(await buyer.order().textContent())[1];
    assert.equal(known.has(id), false);
    known.set(id, visitor);
    for (const tab of [tabs[visitor % 5], tabs[(visitor + 1) % 5]]) {
      buyer.page = tab;
      await tab.reload();
      await buyer.sees("confirmed", { seconds: 60 });
      assert.match(await buyer.order().textContent(), new RegExp(id));
      assert.equal((await buyer.statuses()).length, 1);
    }
    await buyer.leave();
  });
  const orders = await settled(shelf.map((entry) => entry.sku));
  assert.equal(orders.length, 100);
  assert.equal(new Set(orders.map((order) => order.user)).size, 100);
  assert.deepEqual(new Set(orders.map((order) => order.id)), new Set(known.keys()));
});

/** Ways to lose the answer to an order: each is called with the route of its POST. */
const LOSSES = [
  ["the answer is cut off", async (route) => { await route.fetch(); await route.abort("connectionreset"); }],
  ["it takes too long", async (route) => { await route.fetch(); /* never answered */ }],
  ["a proxy answers 502", async (route) => { await route.fetch(); await route.fulfill({ status: 502, body: "<h1>Bad gateway</h1>" }); }],
  ["it does not arrive", async (route) => { await route.abort("connectionrefused"); }],
  ["the shop is busy", async (route) => { await route.fulfill({ status: 503, headers: { "Retry-After": "1", "Access-Control-Allow-Origin": "*" }, json: { status: 503 } }); }],
];

test("twenty lost answers with reloads: each order exists once, and its buyer sees it", slow, async () => {
  const shelf = [await item({ stock: 100 })];
  await each(20, 4, async (number) => {
    const [, lose] = LOSSES[number % LOSSES.length];
    const buyer = await Buyer.enter(shelf);
    let posts = 0;
    const losing = number % 2 === 0 ? 1 : 2; // also twice in a row
    await buyer.context.route("**/v1/orders", async (route) => {
      if (route.request().method() !== "POST" || (posts += 1) > losing) return route.fallback();
      return lose(route).catch(() => {}); // its page has gone
    });
    await buyer.buy(shelf[0].sku);
    await until("the POST", () => posts > 0);
    for (let reload = 0; reload < 3; reload += 1) {
      await buyer.page.waitForTimeout(300 * (number % 4));
      await buyer.page.reload();
    }
    await buyer.sees("confirmed", { seconds: 60 });
    assert.equal((await buyer.statuses()).length, 1);
    await buyer.leave();
  });
  const orders = await settled([shelf[0].sku]);
  assert.equal(orders.length, 20);
  assert.equal(new Set(orders.map((order) => order.user)).size, 20);
});

test("a shop that fails at random for a while: every press ends in one order that its buyer sees", slow, async () => {
  const shelf = [await item({ stock: 100 })];
  let seed = 7;
  const random = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648; };
  await each(10, 3, async () => {
    const buyer = await Buyer.enter(shelf);
    await until("the price", () => buyer.button(shelf[0].sku).isEnabled());
    const end = Date.now() + 8000;
    await buyer.context.route(/\/v1\/|\/session$/, async (route) => {
      if (Date.now() > end || random() < 0.6) return route.fallback();
      return LOSSES[Math.floor(random() * LOSSES.length)][1](route).catch(() => {});
    });
    for (let press = 0; press < 3; press += 1) {
      await buyer.buy(shelf[0].sku).catch(() => {});
      await buyer.page.waitForTimeout(1500);
      if (random() < 0.5) await buyer.page.reload();
      await until("the price", () => buyer.button(shelf[0].sku).isEnabled(), 30);
    }
    const [{ value: user }] = await buyer.context.cookies();
    const made = async () => (await world.orders({ sku: shelf[0].sku })).filter((order) => order.user === user);
    let shown;
    await until("every order to be shown as confirmed", async () => {
      const states = await buyer.statuses().catch(() => ["none"]);
      shown = states.length;
      return Date.now() > end && states.every((state) => state === "confirmed") && (await made()).length === shown;
    }, 90);
    assert.ok(shown <= 3);
    await buyer.leave();
  });
  await settled([shelf[0].sku]);
});
