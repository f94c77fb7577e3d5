// How the page looks: axe finds nothing, nothing is cut off and nothing overlaps, at three widths, light and dark, in
// every state that an order or an item can be in. Each is a picture.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Buyer, closeBrowser, item } from "./lib/browser.mjs";
import { axe, misplaced } from "./lib/look.mjs";
import { full, slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const WIDTHS = full ? [360, 768, 1440] : [360, 1440];
const SCHEMES = ["light", "dark"];

async function check(buyer, name, widths = WIDTHS) {
  const { page } = buyer;
  for (const colorScheme of SCHEMES) {
    for (const width of widths) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      await buyer.picture(`${name}-${width}-${colorScheme}`);
      assert.deepEqual(await page.evaluate(misplaced), [], `${name} at ${width}, ${colorScheme}`);
      assert.deepEqual(await axe(page), [], `${name} at ${width}, ${colorScheme}`);
    }
  }
}

const STORY = "Silk chiffon, nine thousand hand-sewn glass beads, worn once. There is no second one.";
const titled = (title, art, kicker, most = 1) => ({ title, art, kicker, most, story: STORY });

test("the first look", async () => {
  const shelf = [
    await item({ stock: 1, price: 240000 }, titled("Beaded evening dress, 1926", "dress", "One of one")),
    await item({ stock: 100 }, titled("VIP pass, opening night", "pass", "100 numbered", 4)),
    await item({ stock: 12, sold: 9, price: 18900 }, titled("Comet runner, numbered", "sneaker", "Twelve pairs", 2)),
    await item({ stock: 30, sold: 30, price: 6500 }, titled("First pressing, signed", "vinyl", "Thirty signed", 2)),
  ];
  const ann = await Buyer.enter(shelf);
  await until("the prices", () => ann.button(shelf[2].sku).isEnabled());
  await check(ann, "first-look");
  assert.deepEqual(ann.troubles, []);
  await ann.leave();
});

test("items in every state", slow, async () => {
  const hours = (n) => new Date(Date.now() + n * 3600000).toISOString();
  const shelf = [
    await item({ stock: 1 }, titled("A paused dress whose name is rather long, with everything that was known of it", "dress", "One of one")),
    await item({ stock: 1, opens_at: hours(2) }, titled("Opens in two hours", "pass", "Soon")),
    await item({ stock: 1, opens_at: hours(200) }, titled("Opens next week", "sneaker", "Later")),
    await item({ stock: 1, closes_at: hours(-1) }, titled("The sale of this is over", "vinyl", "Gone")),
    await item({ stock: 1, sold: 1, price: 99999999999 }, titled("Sold out, and very dear", "dress", "One of one")),
    await item({ stock: 2, held: 2, price: 100000, currency: "huf" }, titled("All spoken for", "pass", "Two of two", 2)),
  ];
  await world.ctl({ arguments: ["pause", shelf[0].sku] });
  const ann = await Buyer.enter(shelf);
  await until("the states", async () => /place is kept/.test(await ann.item(shelf[0].sku).innerText()));
  await check(ann, "items");
  await ann.context.route("**/v1/items/**", (route) => route.abort());
  await until("what is seen to be old", () => ann.page.evaluate(() => document.querySelectorAll('[data-old="true"]').length === 6));
  await check(ann, "items-old", [360]);
  await ann.leave();
});

test("orders in every state", async () => {
  const shelf = [await item({ stock: 50 }, titled("VIP pass, opening night", "pass", "100 numbered", 4)), await item({ stock: 1, held: 1 }, titled("Beaded evening dress, 1926", "dress", "One of one"))];
  const [pass, dress] = shelf;
  const ann = await Buyer.enter(shelf);
  const buy = async (card, sku, status) => {
    await ann.pay(card);
    await ann.buy(sku);
    await ann.sees(status);
    await ann.page.waitForTimeout(1100); // no double click
  };
  await buy("Visa, pays", dress.sku, "waiting");
  await ann.order().getByRole("button", { name: "Leave the line" }).click();
  await ann.sees("cancelled");
  await buy("Visa, pays", dress.sku, "waiting");
  await buy("Card that is declined", pass.sku, "rejected");
  await buy("Visa, pays", pass.sku, "confirmed");
  await buy(/bank asks you/, pass.sku, "reserved");
  await ann.order().getByRole("link").waitFor();
  await world.stop({ name: "notifier" });
  try {
    await ann.seesChip("reconnecting");
    await ann.context.route("**/v1/orders", (route) => (route.request().method() === "POST" ? route.abort() : route.fallback()));
    await ann.buy(pass.sku);
    await until("it to go on", async () => /No answer yet/.test(await ann.order().textContent()));
    await check(ann, "orders");
  } finally {
    await world.start_again({ name: "notifier" });
  }
  await ann.leave();
});

test("a notice, an order that is in question, and German", slow, async () => {
  const pass = await item({ stock: 3 }, titled("VIP-Pass", "pass", "100, nummeriert", 4));
  const ann = await Buyer.enter([pass], { locale: "de-AT" });
  await ann.context.route("**/v1/orders", (route) => (route.request().method() === "POST" ? route.abort() : route.fallback()));
  await ann.buy(pass.sku);
  await ann.sees("sending");
  await ann.page.evaluate(() => { const now = Date.now; Date.now = () => now() + 180000; });
  await ann.page.reload();
  await ann.context.addInitScript(() => { const now = Date.now; Date.now = () => now() + 180000; });
  await ann.page.reload();
  await ann.sees("unsure");
  await ann.context.setOffline(true);
  await ann.seesChip("offline");
  await check(ann, "german");
  await ann.leave();
});
