// The page of deploy/web/README.md, as it stands there, with this stack's addresses.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, test } from "node:test";
import { closeBrowser, item, openBrowser } from "./lib/browser.mjs";
import { SHOP, slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const README = fs.readFileSync(new URL("../../deploy/web/README.md", import.meta.url), "utf8");

test("the page of the client's README buys, and a reload finds the order", slow, async () => {
  const dress = await item({ stock: 1 });
  const [, text] = /```html\n([\s\S]*?)```/.exec(README);
  const html = text.replace("https://api.shop.example", await world.api()).replace("dress-1920s", dress.sku);
  const page = await (await openBrowser()).newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("console", (message) => { if (message.type() === "error") troubles.push(message.text()); });
  await page.route("**/own.html", (route) => route.fulfill({ contentType: "text/html", body: html }));
  await page.route("**/checkout-session", async (route) => route.fulfill({ json: { token: await world.token({ user: "own-page" }) } }));
  await page.goto(`${SHOP}/own.html`);
  await page.getByRole("button", { name: "Buy now" }).click();
  await until("the order", async () => /confirmed/.test(await page.locator("#orders").innerText()));
  assert.equal(await page.locator("#price").innerText(), "$150.00");
  await page.reload();
  await until("the order", async () => /confirmed/.test(await page.locator("#orders").innerText()));
  assert.deepEqual((await world.orders({ sku: dress.sku })).map(({ user, status }) => [user, status]), [["own-page", "confirmed"]]);
  assert.deepEqual(troubles, []);
  await page.close();
});
