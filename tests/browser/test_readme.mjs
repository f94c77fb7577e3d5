// The page of deploy/web/README.md and the backend of docs/integrate.md, as they stand there, in one folder: they buy the dress.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { closeBrowser, item, openBrowser } from "./lib/browser.mjs";
import { slow, until, world } from "./lib/world.mjs";

after(closeBrowser);

const ROOT = new URL("../../", import.meta.url);
const WEB = new URL("deploy/web/", ROOT);
const read = (url) => fs.readFileSync(url, "utf8");
const [, PAGE] = /```html\n([\s\S]*?)```/.exec(read(new URL("README.md", WEB)));
const [, BACKEND] = /^### Python\n\n```python\n([\s\S]*?)^```$/m.exec(read(new URL("docs/integrate.md", ROOT)));

/** Serves the page, the client's files, and the token of one customer; undefined: no customer is signed in. */
async function serve(html, customer, t) {
  const origin = new URL(await world.own_origin());
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "checkout-shop."));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  for (const part of ["checkout.js", "checkout"]) fs.cpSync(new URL(part, WEB), path.join(folder, part), { recursive: true });
  fs.writeFileSync(path.join(folder, "index.html"), html);
  fs.writeFileSync(path.join(folder, "session.py"), BACKEND);
  const backend = spawn("/usr/bin/python3", ["session.py"], { cwd: folder, stdio: "ignore",
    env: { ...process.env, CUSTOMER: customer, PORT: origin.port, CHECKOUT_JWT_SECRET_FILE: await world.jwt_secret_file() } });
  t.after(() => new Promise((done) => { backend.once("exit", done); backend.kill(); }));
  await until("the backend", () => fetch(origin).then((answer) => answer.ok, () => false));
  return origin.href;
}

test("the page of the client's README and the backend of the guide sell the dress, and a reload finds the order", slow, async (t) => {
  const dress = await item({ stock: 1 });
  const url = await serve(PAGE.replace("https://api.shop.example", await world.api()).replace("dress-1920s", dress.sku), "own-page", t);
  const page = await (await openBrowser()).newPage({ locale: "en-US" });
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("console", (message) => { if (message.type() === "error" && !/favicon/.test(message.location().url)) troubles.push(message.text()); });
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

test("who is not signed in sees the price there, and that nothing is bought without", slow, async (t) => {
  const dress = await item({ stock: 1 });
  const url = await serve(PAGE.replace("https://api.shop.example", await world.api()).replace("dress-1920s", dress.sku), undefined, t);
  const page = await (await openBrowser()).newPage({ locale: "en-US" });
  await page.goto(url);
  const says = (text) => until(text, async () => await page.locator("#notice").innerText() === text);
  await says("Sign in to buy.");
  await until("the price", async () => await page.locator("#price").innerText() === "$150.00");
  await page.getByRole("button", { name: "Buy now" }).click();
  await says("Nothing was ordered (signed-out).");
  assert.deepEqual(await world.orders({ sku: dress.sku }), []);
  await page.close();
});
