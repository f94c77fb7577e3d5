// The client as a whole, under node: no browser, no server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Checkout } from "../../deploy/web/checkout/client.js";
import { Wishes } from "../../deploy/web/checkout/wishes.js";
import { FakeSocket, Memory, answer, body, newest, tick, token, wish } from "./lib/fakes.mjs";

test("while the shop asks for a pause, the client asks nothing", async (t) => {
  let now = 1000000;
  const calls = [];
  const answers = [answer(503, {}, { "Retry-After": "30" })];
  const checkout = new Checkout({ api: "https://api.example", session: async () => ({ token: token({ sub: "ann", iat: 0, exp: 3600 }) }),
    storage: new Memory(), now: () => now,
    fetch: async (url, { method }) => { calls.push(`${method} ${new URL(url).pathname}`); return (answers.shift() ?? answer(200, { orders: [] })).clone(); } });
  t.after(() => checkout.stop());
  await assert.rejects(checkout.item("dress"), /503/);
  await assert.rejects(checkout.item("dress"), /503/);
  await checkout.start();
  assert.deepEqual(calls, ["GET /v1/items/dress"]);
  now += 30001;
  assert.deepEqual(await checkout.item("dress"), { orders: [] });
  await checkout.tick();
  assert.deepEqual(calls.slice(1), ["GET /v1/items/dress", "GET /v1/orders"]);
});

test("a shop that answers, but signs nobody in, is not ready", async (t) => {
  let away = true;
  const checkout = new Checkout({ api: "https://api.example", storage: new Memory(), fetch: async () => answer(200, { orders: [] }),
    session: async () => { if (away) throw new Error("away"); return { token: token({ sub: "ann", iat: 0, exp: 3600 }) }; } });
  t.after(() => checkout.stop());
  await checkout.item("dress");
  await checkout.start();
  assert.equal(checkout.connection, "unreachable");
  await checkout.item("dress");
  assert.deepEqual([checkout.connection, checkout.signedIn], ["unreachable", false]);
  await assert.rejects(checkout.buy(body), /signed-out/);
  away = false;
  await checkout.tick();
  assert.equal(checkout.connection, "ready");
});

test("an answer to a repeat that tells the order's end is believed at once", async (t) => {
  FakeSocket.all = [];
  const storage = new Memory();
  const sent = wish({ at: Date.now() });
  new Wishes(storage, Date.now).save(sent);
  const told = { id: "00000000-0000-8000-8000-000000000001", status: "rejected", reason: "sold_out", sku: "dress", quantity: 1,
    message: "We have this order already; its status says how it stands.", status_url: "/", events_url: "wss://x/?ticket=a" };
  const checkout = new Checkout({ api: "https://api.example", session: async () => ({ token: token({ sub: "ann", iat: 0, exp: 3600 }) }),
    storage, open: (url) => new FakeSocket(url),
    fetch: async (url, { method }) => (method === "POST" ? answer(202, told) : answer(200, { orders: [] })) });
  t.after(() => checkout.stop());
  await checkout.start();
  await tick();
  const [{ key, status, reason, message }] = checkout.orders;
  assert.deepEqual([key, status, reason, message], [sent.key, "rejected", "sold_out", undefined]);
  assert.deepEqual([FakeSocket.all.length, storage.length], [0, 0]);
});

test("news that a live socket did not tell are asked for when the page is seen again, and the socket is dialled anew", async (t) => {
  FakeSocket.all = [];
  const id = "00000000-0000-8000-8000-000000000001";
  let status = "waiting";
  const events_url = "wss://x/?ticket=a";
  const listed = () => ({ id, sku: "dress", quantity: 1, status, created_at: "2026-01-01T00:00:00.000Z" });
  const one = () => ({ ...listed(), events_url, history: [{ status }] });
  const checkout = new Checkout({ api: "https://api.example", session: async () => ({ token: token({ sub: "ann", iat: 0, exp: 3600 }) }),
    storage: new Memory(), open: (url) => new FakeSocket(url),
    fetch: async (url) => answer(200, url.includes(id) ? one() : { orders: [listed()] }) });
  t.after(() => checkout.stop());
  await checkout.start();
  await tick();
  newest().accept();
  assert.equal(checkout.connection, "live");
  await checkout.seen();
  assert.equal(FakeSocket.all.length, 1);
  status = "reserved";
  await checkout.seen();
  await tick();
  assert.equal(checkout.orders[0].status, "reserved");
  assert.equal(FakeSocket.all.length, 2);
  status = "confirmed";
  await checkout.seen();
  assert.equal(newest().closed, true);
  await checkout.seen(); // nothing is open
});

test("whoever has signed in without a new page sees own orders at once, and none of the previous login", async (t) => {
  let who = "ann";
  const resets = [];
  const asked = [];
  const checkout = new Checkout({ api: "https://api.example", storage: new Memory(),
    session: async () => { asked.push(who); return { token: token({ sub: who, iat: 0, exp: 3600 }) }; },
    fetch: async (url, { headers }) => answer(200, { orders: headers.Authorization.includes(token({ sub: "ann", iat: 0, exp: 3600 }))
      ? [{ id: "1", sku: "dress", quantity: 1, status: "confirmed", created_at: "2026-01-01T00:00:00.000Z" }] : [] }) });
  t.after(() => checkout.stop());
  checkout.on("reset", () => resets.push(who));
  await checkout.start();
  assert.deepEqual(checkout.orders.map(({ id }) => id), ["1"]);
  await checkout.renew();
  assert.deepEqual([asked, resets, checkout.orders.length], [["ann", "ann"], [], 1]);
  who = "bob";
  await checkout.renew();
  assert.deepEqual([resets, checkout.orders], [["bob"], []]);
});

test("a page that comes back out of the browser's memory asks who it is", async (t) => {
  const page = new EventTarget();
  globalThis.window = page;
  t.after(() => { delete globalThis.window; });
  let who = "ann";
  const checkout = new Checkout({ api: "https://api.example", storage: new Memory(), fetch: async () => answer(200, { orders: [] }),
    session: async () => ({ token: token({ sub: who, iat: 0, exp: 3600 }) }) });
  t.after(() => checkout.stop());
  await checkout.start();
  const reset = new Promise((done) => checkout.on("reset", done));
  who = "bob";
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await reset;
  assert.equal(checkout.sub, "bob");
});
