// A headless Chromium, and buyers in it: each with storage and cookies of its own.

import fs from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { PATIENCE_MS, SHOP, until, world } from "./world.mjs";

export const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PICTURES = process.env.BROWSER_PICTURES;

let browser = null; // a promise: those who need it at once get the same one, and none is left running at the end

export function openBrowser() {
  browser ??= chromium.launch({ executablePath: process.env.BROWSER_CHROMIUM || "/usr/bin/chromium", args: FLAGS });
  return browser;
}

export async function closeBrowser() {
  await (await browser)?.close();
  browser = null;
}

/** The demo's shelf, with items of this test's own: `art` is one of the pictures there are. */
export function entry(sku, more = {}) {
  return { sku, most: 4, art: "dress", kicker: "One of one", title: `Dress ${sku.slice(-6)}`, story: "Silk chiffon, worn once.", ...more };
}

export class Buyer {
  /**
   * @param shelf entries of the catalogue: item() puts one on sale
   * @param {object} options of the browser's context
   */
  static async enter(shelf, options = {}) {
    const buyer = await Buyer.outside(shelf, options);
    await buyer.tab();
    return buyer;
  }

  /** Somebody who has not opened the shop yet. */
  static async outside(shelf, options = {}) {
    const context = await (await openBrowser()).newContext({
      viewport: { width: 1024, height: 900 }, locale: "en-US", reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    return new Buyer(context, shelf);
  }

  constructor(context, shelf) {
    this.context = context;
    this.shelf = shelf;
    this.troubles = []; // errors of the page; those of the network are told apart by their text
    this.orderCalls = [];
  }

  /** A new tab on the shop. */
  async tab(query = "") {
    const page = await this.context.newPage();
    page.on("pageerror", (error) => this.troubles.push(`page: ${error.message}`));
    page.on("console", (message) => { if (message.type() === "error") this.troubles.push(`console: ${message.text()}`); });
    page.on("request", (request) => { if (/\/v1\/orders/.test(request.url())) this.orderCalls.push(`${request.method()} ${new URL(request.url()).pathname}`); });
    await page.route("**/catalog.json", (route) => route.fulfill({ json: this.shelf }));
    this.page = page;
    await page.goto(`${SHOP}/${query}`);
    return page;
  }

  async leave() {
    await this.context.close();
  }

  /** The card of an item on the shelf. */
  item(sku) {
    return this.page.locator(".item").nth(this.shelf.findIndex((one) => one.sku === sku));
  }

  button(sku) {
    return this.item(sku).getByRole("button");
  }

  async pay(label) {
    await this.page.getByRole("radio", { name: label }).check();
  }

  async buy(sku) {
    await this.button(sku).click();
  }

  /** Buys as people do: who is told that there was no sign-in, and so no order, presses again. Ends once there is an order. */
  async buyPatiently(sku) {
    await this.buy(sku); // this has the focus, until the page moves it to what it has to say
    await until("an order", async () => {
      if ((await this.statuses()).length > 0) return true;
      if (await this.page.evaluate(() => document.activeElement?.id === "notice")) await this.buy(sku);
      return false;
    }, 60);
  }

  order(index = 0) {
    return this.page.locator("#orders > li").nth(index);
  }

  async statuses() {
    return this.page.locator("#orders > li").evaluateAll((all) => all.map((one) => one.dataset.status));
  }

  /** Waits until the newest order (or another) has one of these states. */
  async sees(status, { index = 0, seconds = 20 } = {}) {
    let seen;
    await until(`order ${index} ${status}`, async () => {
      seen = (await this.statuses().catch(() => []))[index];
      return [status].flat().includes(seen);
    }, seconds).catch((error) => { throw new Error(`${error.message}; it is ${seen}`); });
  }

  chip() {
    return this.page.locator("#live").getAttribute("data-state");
  }

  async seesChip(state, seconds = 20) {
    let seen;
    await until(`the chip ${state}`, async () => [state].flat().includes(seen = await this.chip()), seconds)
      .catch((error) => { throw new Error(`${error.message}; it is ${seen}`); });
  }

  /** What is kept in the browser for this shop, as text. */
  storage() {
    return this.page.evaluate(() => JSON.stringify(localStorage));
  }

  /** Makes the browser lose the answers to POST /v1/orders: they reach the shop. Returns what ends it. */
  async loseAnswers() {
    const lose = async (route) => {
      if (route.request().method() !== "POST") return route.fallback();
      await route.fetch().catch(() => {});
      return route.abort("connectionreset").catch(() => {}); // a page that has gone meanwhile has ended it
    };
    await this.context.route("**/v1/orders", lose);
    return () => this.context.unroute("**/v1/orders", lose);
  }

  /** Answers to sign-ins come late and in any order: what each of them says is known before those of other tabs arrive.
   *  Returns the set of customers that the pages have been told. */
  async signInLate() {
    const customers = new Set();
    await this.context.route("**/session", async (route) => {
      const cookies = (await this.context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
      const answer = await fetch(`${SHOP}/session`, { headers: { Cookie: cookies } });
      await new Promise((done) => setTimeout(done, 300 + Math.random() * 300));
      const json = await answer.json();
      await route.fulfill({ headers: { "Set-Cookie": answer.headers.get("Set-Cookie") }, json })
        .then(() => customers.add(json.customer), () => {}); // a page that has gone meanwhile has not heard it
    });
    return customers;
  }

  async picture(name) {
    if (!PICTURES) return;
    fs.mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
  }
}

/** Puts an item on sale and gives its entry for the shelf. */
export async function item(columns = {}, more = {}) {
  const sku = await world.item({ price: 15000, ...columns });
  return entry(sku, more);
}
