// The operators' page, in a browser: who gets in, what it says at a glance, that it knows when it is stale, and how it looks.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closeBrowser } from "./lib/browser.mjs";
import { Operator } from "./lib/operator.mjs";
import { slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const HOSTILE = "</b><img src=x onerror=\"globalThis.hurt=1\"><script>globalThis.hurt=1</script> \u202etfel";

/** Longer than a test takes on a slow machine: its payments are answered when it sets the latency to 0. */
const HELD_MS = 280000;

/** One item with enough for all, and a hot one, whose sku it gives: two are at the gateway, seven wait. */
async function sale() {
  const calm = await world.item({ stock: 40, title: "Comet runner, numbered" });
  const hot = await world.item({ stock: 2, title: HOSTILE });
  await Promise.all([...Array(6).keys()].map((n) => world.order({ user: `calm-${n}`, sku: calm })));
  await Promise.all([...Array(9).keys()].map((n) => world.order({ user: `keen-${n}`, sku: hot })));
  return hot;
}

test("without a token, and with one that is not an operator's", async () => {
  const olga = await Operator.enter("shop");
  await until("the refusal", async () => (await olga.page.locator("#refused").innerText()).includes("scope"));
  assert.equal(await olga.page.locator("#shop").isHidden(), true);
  await olga.look("enter");
  await olga.show("nonsense");
  await until("the refusal", async () => (await olga.page.locator("#refused").innerText()).includes("token"));
  assert.deepEqual(olga.troubles.filter((text) => !/40[13]/.test(text)), []);
  await olga.leave();
});

test("a sale at a glance, with buyers' and sellers' words shown as text", async () => {
  const olga = await Operator.enter();
  await world.latency({ milliseconds: HELD_MS });
  const hot = await sale();
  await olga.says("Which item is hot?", hot);
  await until("seven buyers to wait, and who waits of the tests before", async () =>
    Number.parseInt(/(\d+) orders/.exec(await olga.answer("Are buyers waiting?").innerText())?.[1] ?? "0", 10) >= 7);
  await olga.says("Is the API up?", "1 of 1 producer up", "good");
  await olga.says("Is money stuck?", "No", "good");
  assert.ok((await olga.answer("Which item is hot?").innerText()).includes("<img src=x onerror="));
  await until("none of its units to be left, and none to be sold yet", async () =>
    (await olga.page.locator("#busy tr", { hasText: hot }).innerText()).includes("all held"));
  const charged = (await world.orders({ sku: hot })).find((order) => order.status === "reserved").id;
  await world.unclear({ order: charged, seconds: 300 });
  await olga.says("Is money stuck?", "1 unclear", "act");
  assert.ok((await olga.page.locator("#money").innerText()).includes(charged));
  await olga.says("Why is it slow?", "The gateway is slow", "act");
  await olga.says("Why is it slow?", "Runbook: CheckoutGatewaySlow");
  await olga.look("sale");
  assert.equal(await olga.page.evaluate(() => globalThis.hurt), undefined);
  assert.equal(await olga.page.locator("main img, main script").count(), 0);
  assert.deepEqual(olga.troubles, []);
  await world.latency({ milliseconds: 0 });
  await olga.leave();
});

test("an item is paused, restocked and resumed, with a reason, once", async () => {
  const reader = await Operator.enter();
  await world.latency({ milliseconds: HELD_MS });
  const sku = await world.item({ stock: 1, title: HOSTILE });
  await world.order({ user: "ann", sku });
  const row = (operator) => operator.page.locator("#busy tr", { hasText: sku });
  await row(reader).waitFor();
  assert.equal(await reader.page.getByRole("button", { name: /Change/ }).count(), 0);
  await reader.leave();
  const olga = await Operator.enter("operator.read shop");
  const change = async (kind, fill) => {
    await row(olga).getByRole("button", { name: "Change…" }).click();
    await olga.page.getByLabel("What", { exact: true }).selectOption(kind);
    await fill?.();
    await olga.page.getByLabel("Reason").fill(`a test of ${kind}`);
    await olga.page.getByRole("button", { name: "Go on" }).click();
  };
  await change("pause");
  await olga.look("confirm");
  await olga.page.route("**/pause", async (route) => { await route.fetch(); await route.abort("connectionreset"); }, { times: 1 });
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await olga.page.getByRole("button", { name: "Try again" }).click();
  await olga.page.getByRole("button", { name: "Close" }).click();
  await until("the item to be paused", async () => (await row(olga).innerText()).includes("paused"));
  const restock = () => change("restock", () => olga.page.getByLabel("Units to add").fill("4"));
  await restock();
  await olga.page.route("**/restock", async (route) => { await route.fetch(); await route.abort("connectionreset"); }, { times: 1 });
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await olga.page.getByRole("button", { name: "Try again" }).waitFor();
  await olga.page.keyboard.press("Escape"); // and asks for the same once more
  await restock();
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await until("the result", async () => (await olga.page.locator("#result").innerText()).includes("stock 5, was 1"));
  await olga.page.getByRole("button", { name: "Close" }).click();
  await change("resume");
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await olga.page.getByRole("button", { name: "Close" }).click();
  assert.deepEqual(await world.requests({ sku }), [["pause", "olga", "a test of pause"], ["restock", "olga", "a test of restock"], ["resume", "olga", "a test of resume"]]);
  await until("the table of changes", async () => /resume.*olga.*a test of resume.*resumed/s.test(await olga.page.locator("#changes").innerText()));
  await olga.look("changed");
  await world.latency({ milliseconds: 0 });
  assert.deepEqual(olga.troubles.filter((text) => !/CONNECTION_RESET/.test(text)), []);
  await olga.leave();
});

test("an order is refunded and its unit put back, and one that waits is cancelled", async () => {
  const sku = await world.item({ stock: 1 });
  const paid = await world.order({ user: "ann", sku });
  await world.wait({ order: paid, status: "confirmed" });
  const olga = await Operator.enter("operator.read shop");
  const change = async (kind, order, fill) => {
    await olga.page.getByRole("button", { name: "Change an order…" }).click();
    await olga.page.getByLabel("What", { exact: true }).selectOption(kind);
    await olga.page.getByLabel("Order", { exact: true }).fill(order);
    await fill?.();
    await olga.page.getByLabel("Reason").fill(`a test of ${kind}`);
    await olga.page.getByRole("button", { name: "Go on" }).click();
    assert.ok((await olga.page.locator("#sentence").innerText()).includes(order));
    await olga.look(kind);
    await olga.page.getByRole("button", { name: "Do it" }).click();
    await olga.page.getByRole("button", { name: "Close" }).click();
  };
  const changed = (order, what) => until("the table of changes", async () => what.test(await olga.page.locator("#changes tr", { hasText: order }).innerText()));
  await change("refund", paid, () => olga.page.getByLabel("Put its units back on sale").check());
  await world.wait({ order: paid, status: "refunded" });
  assert.deepEqual(await world.counts({ sku }), { stock: 1, held: 0, sold: 0, waiting: 0 });
  await changed(paid, /refund its units go back on sale.*olga.*a test of refund.*refund of .* begun, its units go back on sale/s);
  await world.latency({ milliseconds: HELD_MS });
  const first = await world.order({ user: "bob", sku });
  await world.wait({ order: first, status: "reserved" });
  const behind = await world.order({ user: "cleo", sku });
  await world.wait({ order: behind, status: "waiting" });
  await change("cancel", behind);
  await world.wait({ order: behind, status: "cancelled" });
  assert.deepEqual(await world.counts({ sku }), { stock: 1, held: 1, sold: 0, waiting: 0 });
  await changed(behind, /cancel.*olga.*a test of cancel.*cancelled/s);
  await world.latency({ milliseconds: 0 });
  await world.wait({ order: first, status: "confirmed" });
  assert.deepEqual(olga.troubles, []);
  await olga.leave();
});

test("a payment that is unclear is resolved, and who did it stands there as text", async () => {
  await world.latency({ milliseconds: HELD_MS });
  const sku = await world.item({ stock: 1 });
  const order = await world.order({ user: "ann", sku });
  await world.wait({ order, status: "reserved" });
  await world.unclear({ order, seconds: 90 });
  const row = (olga) => olga.page.locator("#money tr", { hasText: order });
  const reader = await Operator.enter("operator.read shop");
  await row(reader).waitFor();
  assert.equal(await row(reader).getByRole("button").count(), 0);
  await reader.leave();
  const olga = await Operator.enter("operator");
  await row(olga).getByRole("button", { name: "Change…" }).click();
  await olga.page.getByRole("button", { name: "Go on" }).click();
  assert.equal(await olga.page.locator("#outcome").evaluate((one) => one.validity.valueMissing), true);
  await olga.page.getByLabel("What you saw at the gateway").selectOption("release");
  await olga.page.getByLabel("Reason").fill(HOSTILE);
  await olga.page.getByRole("button", { name: "Go on" }).click();
  await olga.look("resolve");
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await until("the result", async () => (await olga.page.locator("#result").innerText()).includes("recorded: the order fails"));
  await olga.page.getByRole("button", { name: "Close" }).click();
  await until("the table of changes", async () => (await olga.page.locator("#changes tr", { hasText: order }).innerText()).includes(HOSTILE.slice(0, 30)));
  await olga.look("resolved");
  assert.equal(await olga.page.evaluate(() => globalThis.hurt), undefined);
  assert.deepEqual(olga.troubles, []);
  await world.latency({ milliseconds: 0 });
  await olga.leave();
});

test("a refund that failed is closed when its money went back another way", slow, async () => {
  const order = await world.order({ user: "ann", sku: await world.item() });
  await world.wait({ order, status: "confirmed" });
  await world.refuse_refund({ order });
  const olga = await Operator.enter("operator shop");
  await olga.says("Is money stuck?", "1 failed refund", "act");
  const row = olga.page.locator("#money tr", { hasText: order });
  await row.getByRole("button", { name: "Change…" }).click();
  await olga.page.getByLabel("What", { exact: true }).selectOption("returned");
  await olga.page.getByLabel("Reason").fill("bank transfer 4711");
  await olga.page.getByRole("button", { name: "Go on" }).click();
  await olga.look("refund-failed");
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await until("the result", async () => (await olga.page.locator("#result").innerText()).includes("went back outside of the gateway"));
  await olga.page.getByRole("button", { name: "Close" }).click();
  await world.wait({ order, status: "refunded" });
  await until("the row to go", async () => await row.count() === 0);
  await olga.says("Is money stuck?", "No", "good");
  assert.match(await olga.page.locator("#changes tr", { hasText: order }).first().innerText(), /resolve refunded.*olga.*bank transfer 4711/s);
  assert.deepEqual(olga.troubles, []);
  await olga.leave();
});

test("dead letters are replayed, by whom stands there", slow, async () => {
  const order = await world.dead_letter({ user: "ann", sku: await world.item() });
  const row = (olga) => olga.page.locator("#jobs tr", { hasText: "Dead letters" });
  const reader = await Operator.enter("operator.read shop");
  await row(reader).waitFor();
  assert.equal(await row(reader).getByRole("button").count(), 0);
  await reader.leave();
  const olga = await Operator.enter("operator");
  await row(olga).getByRole("button", { name: "Replay…" }).click();
  await olga.page.getByLabel("Reason").fill("the secret is right again");
  await olga.look("replay");
  await olga.page.getByRole("button", { name: "Go on" }).click();
  await olga.page.getByRole("button", { name: "Do it" }).click();
  await until("the result", async () => (await olga.page.locator("#result").innerText()).includes("1 of 1 letters replayed"));
  await olga.page.getByRole("button", { name: "Close" }).click();
  await world.wait({ order, status: "confirmed" });
  await until("the table of changes", async () => /replay.*olga.*dead letters.*right again.*1 of 1/s.test(await olga.page.locator("#changes").innerText()));
  await until("no dead letter", async () => await row(olga).count() === 0);
  assert.deepEqual(olga.troubles, []);
  await olga.leave();
});

test("a producer that is gone, a console that is silent, and a token that is forgotten", async () => {
  const olga = await Operator.enter();
  await olga.says("Is the API up?", "up", "good");
  await world.stop({ name: "producer" });
  await olga.says("Is the API up?", "0 of 0 producers", "act");
  await world.start_again({ name: "producer" });
  await olga.says("Is the API up?", "1 of 1 producer up", "good");
  await world.freeze({ name: "console" });
  await until("the page to know that it is old", () => olga.page.locator("#stale").isVisible());
  await olga.look("stale");
  await world.thaw({ name: "console" });
  await until("the page to be fresh", () => olga.page.locator("#stale").isHidden());
  const kept = await olga.page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
  assert.deepEqual(kept, [0, 0, "", `${await world.console()}/`]);
  await olga.page.reload();
  assert.equal(await olga.page.locator("#enter").isVisible(), true);
  assert.equal(await olga.page.locator("#shop").isHidden(), true);
  await olga.leave();
});
