// When something is away: the socket, the door, the browser's network, the shop's own server. And the bank's page.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Buyer, closeBrowser, item } from "./lib/browser.mjs";
import { SHOP, slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

/** A buyer who waits in line for a held unit, with a live socket. */
async function waiting() {
  const dress = await item({ stock: 1, held: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await ann.seesChip("live");
  return { dress, ann };
}

/** The held unit comes free. */
const free = (dress) => world.change({ sku: dress.sku, held: 0 }).then(() => world.order({ user: "nudge", sku: dress.sku }));

test("with a live socket nothing is polled, and there is one socket", slow, async () => {
  const dress = await item({ stock: 1, held: 1 });
  const ann = await Buyer.enter([dress]);
  let sockets = 0;
  ann.page.on("websocket", () => { sockets += 1; });
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await ann.page.waitForTimeout(1100); // no double click
  await ann.buy(dress.sku);
  await ann.sees("waiting", { index: 1 });
  await ann.seesChip("live");
  for (const index of [0, 1]) await until("the time", async () => /keep your place until/.test(await ann.order(index).textContent()));
  ann.orderCalls = [];
  await ann.page.waitForTimeout(12000);
  assert.deepEqual(ann.orderCalls, []);
  assert.equal(sockets, 1);
  await ann.leave();
});

test("the notifier is away: the page says so, asks instead, and is live again when it is back", async () => {
  const { dress, ann } = await waiting();
  await world.stop({ name: "notifier" });
  try {
    await ann.seesChip("reconnecting");
    await ann.picture("reconnecting");
    await free(dress);
    await ann.sees("confirmed"); // by asking
  } finally {
    await world.start_again({ name: "notifier" });
  }
  const more = await item({ stock: 1, held: 1 });
  ann.shelf.push(more);
  await ann.page.reload();
  await ann.buy(more.sku);
  await ann.sees("waiting");
  await ann.seesChip("live");
  await ann.leave();
});

test("news that came while the socket was lost are replayed on the next one, with a fresh ticket", slow, async () => {
  const { dress, ann } = await waiting();
  const urls = [];
  ann.page.on("websocket", (socket) => urls.push(socket.url()));
  await world.stop({ name: "notifier" });
  await ann.seesChip("reconnecting");
  await ann.context.route("**/v1/orders/*", (route) => // what is asked for does not tell of the end
    route.fetch().then(async (answer) => route.fulfill({ response: answer, json: { ...(await answer.json()), status: "waiting", history: [] } })));
  await free(dress);
  await world.start_again({ name: "notifier" });
  await ann.sees("confirmed", { seconds: 30 });
  assert.match(urls.at(-1), /last_event_id=\d+/);
  await ann.leave();
});

test("a socket that died without a word: the page asks when it is seen again", slow, async () => {
  const { dress, ann } = await waiting();
  await world.freeze({ name: "notifier" });
  try {
    await free(dress);
    await until("the sale", async () => (await world.orders({ sku: dress.sku })).some((order) => order.status === "confirmed"));
    await ann.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
    await ann.sees("confirmed", { seconds: 5 });
  } finally {
    await world.thaw({ name: "notifier" });
  }
  await ann.leave();
});

test("the door is away: the page says so, keeps the order and sends it when it is back", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await world.stop({ name: "producer" });
  try {
    await ann.seesChip("unreachable");
    assert.match(await ann.page.locator("#notice").textContent(), /does not answer/);
    await ann.buy(dress.sku);
    await until("it to say that it goes on", async () => /No answer yet.*charged once/.test(await ann.order().textContent()));
    await ann.picture("door-away");
    await ann.page.reload();
    await ann.sees("sending");
    await ann.picture("door-away-first-look");
    assert.match(await ann.page.locator("#notice").textContent(), /does not answer/);
    assert.match(await ann.item(dress.sku).innerText(), /Not known just now/);
  } finally {
    await world.start_again({ name: "producer" });
  }
  await ann.sees("confirmed", { seconds: 30 });
  await ann.seesChip("ready");
  assert.equal(await ann.page.locator("#notice").isVisible(), false);
  assert.equal((await world.orders({ sku: dress.sku })).length, 1);
  await ann.leave();
});

test("offline: an order that is pressed is kept, and goes out at once when the network is back", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.context.setOffline(true);
  await ann.seesChip("offline");
  assert.match(await ann.page.locator("#notice").textContent(), /You are offline/);
  await ann.buy(dress.sku);
  await ann.sees("sending");
  await ann.picture("offline");
  await ann.page.waitForTimeout(5000); // the pauses have grown
  await ann.context.setOffline(false);
  await ann.sees("confirmed", { seconds: 3 });
  await ann.seesChip("ready");
  await ann.leave();
});

test("the shop's own server is away at the first look: the page waits for it", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.context.route("**/session", (route) => route.abort());
  await ann.context.clearCookies();
  await ann.tab();
  await ann.seesChip("unreachable");
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.buy(dress.sku);
  await until("the notice", async () => /could not be signed in/.test(await ann.page.locator("#notice").textContent()));
  assert.deepEqual(await ann.statuses(), []);
  await ann.picture("signed-out");
  await ann.context.unroute("**/session");
  await ann.seesChip("ready"); // by itself
  assert.equal(await ann.page.locator("#notice").isVisible(), false);
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  await ann.leave();
});

test("a token that is refused is renewed, and nobody notices", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  let refusals = 0;
  await ann.context.route("**/v1/orders", (route) => {
    if (route.request().method() !== "POST" || refusals > 0) return route.fallback();
    refusals += 1;
    return route.continue({ headers: { ...route.request().headers(), authorization: "Bearer e30.e30.e30" } });
  });
  await ann.buy(dress.sku);
  await ann.sees("confirmed");
  assert.equal(refusals, 1);
  await ann.leave();
});

test("3-D Secure: the bank asks, the title says whose turn it is, and the bank leads back to the same page", async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.pay(/bank asks you/);
  await ann.buy(dress.sku);
  const act = ann.order().getByRole("link", { name: "Confirm at your bank" });
  await act.waitFor();
  assert.match(await ann.page.title(), /Your turn/);
  await ann.picture("at-the-bank-asked");
  await ann.page.reload();
  await act.waitFor();
  await act.click();
  await ann.page.getByRole("button", { name: "Approve" }).waitFor();
  await ann.picture("at-the-bank");
  assert.match(await ann.page.locator("main").innerText(), /A shop asks for\s+150\.00 usd/);
  await ann.page.getByRole("button", { name: "Approve" }).click();
  await ann.page.waitForURL(`${SHOP}/`);
  await ann.sees("confirmed", { seconds: 30 });
  assert.equal(ann.context.pages().length, 1);
  assert.doesNotMatch(await ann.page.title(), /Your turn/);
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("a bank that does not answer says so, and can be asked again", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.pay(/bank asks you/);
  await ann.buy(dress.sku);
  await ann.order().getByRole("link", { name: "Confirm at your bank" }).click();
  await ann.page.route("**/3ds/**", (route) => route.abort());
  await ann.page.getByRole("button", { name: "Approve" }).click();
  await ann.page.getByRole("alert").getByText("No answer").waitFor();
  await ann.page.unroute("**/3ds/**");
  await ann.page.getByRole("button", { name: "Approve" }).click();
  await ann.page.waitForURL(`${SHOP}/`);
  await ann.sees("confirmed", { seconds: 30 });
  await ann.leave();
});

test("3-D Secure declined at the bank: not charged, and another card keeps the wish", slow, async () => {
  const dress = await item({ stock: 1 });
  const ann = await Buyer.enter([dress]);
  await ann.pay(/bank asks you/);
  await ann.buy(dress.sku);
  await ann.order().getByRole("link", { name: "Confirm at your bank" }).click();
  await ann.page.getByRole("button", { name: "Decline" }).click();
  await ann.page.waitForURL(`${SHOP}/`);
  await ann.sees("rejected", { seconds: 30 });
  assert.match(await ann.order().textContent(), /declined the card.*not charged/);
  await ann.order().getByRole("button", { name: "Try again" }).click();
  await ann.sees("confirmed");
  await ann.leave();
});

test("your turn in a background tab is a notification, where the buyer allows it", async () => {
  const [dress, pass] = [await item({ stock: 1, held: 1 }), await item({ stock: 1 })];
  const ann = await Buyer.enter([dress, pass], { permissions: ["notifications"] });
  await until("the price", () => ann.button(dress.sku).isEnabled());
  await ann.page.evaluate(() => {
    window.told = [];
    window.Notification = class { static permission = "granted"; constructor(title, { body }) { window.told.push(`${title}: ${body}`); } };
    window.away = true;
    Object.defineProperty(document, "hidden", { get: () => window.away });
  });
  await ann.buy(pass.sku);
  await ann.sees("confirmed");
  await until("the title", async () => /It is yours/.test(await ann.page.title()));
  await ann.page.evaluate(() => { window.away = false; });
  await until("the title to be read", async () => !/It is yours/.test(await ann.page.title()));
  await ann.page.evaluate(() => { window.told = []; window.away = true; });
  await ann.pay(/bank asks you/);
  await ann.buy(dress.sku);
  await ann.sees("waiting");
  await free(dress);
  await until("the notification", () => ann.page.evaluate(() => window.told.length === 1));
  assert.match((await ann.page.evaluate(() => window.told))[0], /^Your turn: .*confirm the payment/);
  await ann.leave();
});
