// The page of deploy/web/README.md, as it stands there, on a server of its own, with this stack's addresses.

import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import { after, test } from "node:test";
import { closeBrowser, item, openBrowser } from "./lib/browser.mjs";
import { slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const WEB = new URL("../../deploy/web/", import.meta.url);
const [, PAGE] = /```html\n([\s\S]*?)```/.exec(fs.readFileSync(new URL("README.md", WEB), "utf8"));

/** Serves the page, the client's files, and a token for the one customer that there is. */
async function serve(html, t) {
  const origin = new URL(await world.own_origin());
  const server = http.createServer(async ({ url }, answer) => {
    const [type, body] = url === "/" ? ["text/html", html] :
      url === "/checkout-session" ? ["application/json", JSON.stringify({ token: await world.token({ user: "own-page" }) })] :
        /^\/checkout[\w/]*\.js$/.test(url) ? ["text/javascript", fs.readFileSync(new URL(`.${url}`, WEB))] : ["image/x-icon", ""];
    answer.writeHead(200, { "Content-Type": type }).end(body);
  }).listen(origin.port, origin.hostname);
  t.after(() => server.close());
  return origin.href;
}

test("the page of the client's README buys, and a reload finds the order", slow, async (t) => {
  const dress = await item({ stock: 1 });
  const url = await serve(PAGE.replace("https://api.shop.example", await world.api()).replace("dress-1920s", dress.sku), t);
  const page = await (await openBrowser()).newPage({ locale: "en-US" });
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("console", (message) => { if (message.type() === "error") troubles.push(message.text()); });
  await page.goto(url);
  await page.getByRole("button", { name: "Buy now" }).click();
  const confirmed = async () => /confirmed/.test(await page.locator("#orders").innerText());
  await until("the order", confirmed);
  assert.equal(await page.locator("#price").innerText(), "$150.00");
  await page.reload();
  await until("the order", confirmed);
  assert.deepEqual((await world.orders({ sku: dress.sku })).map(({ user, status }) => [user, status]), [["own-page", "confirmed"]]);
  assert.deepEqual(troubles, []);
  await page.close();
});
