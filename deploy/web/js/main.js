// The storefront: a shelf, a card to pay with, and the buyer's orders.

import { Checkout } from "../checkout.js";
import { chosenCard, showCards } from "./cards.js";
import { byId, element, say } from "./dom.js";
import { Orders } from "./orders.js";
import { read, session } from "./session.js";
import { Shelf } from "./shelf.js";
import { Turn } from "./turn.js";
import { LANGUAGES, speak, words } from "./words.js";

const AGAIN_MS = 2000;

/** Reads a file of the shop's own server, for as long as it takes. */
async function patiently(path) {
  for (;;) {
    try {
      const answer = await read(path);
      return { body: await answer.json(), skew: Date.parse(answer.headers.get("Date")) - Date.now() || 0 };
    } catch {
      notice("unreachable");
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

function notice(...names) {
  const texts = names.map((name) => words.notice[name]).filter(Boolean);
  byId("notice").hidden = texts.length === 0;
  say(byId("notice"), texts.join(" "));
}

function showConnection(state) {
  byId("live").dataset.state = state;
  say(byId("live-text"), words.connection[state]);
}

function showLanguages() {
  for (const { code, name } of LANGUAGES) {
    const link = element("a", { href: `?lang=${code}`, lang: code, textContent: name });
    if (code === words.code) link.setAttribute("aria-current", "true");
    byId("languages").append(link);
  }
  byId("language-list").hidden = false;
}

/** Without the bank's answer in its address: the order itself says how it went. */
function tidyAddress() {
  if (location.search) history.replaceState(null, "", location.pathname);
}

class Shop {
  constructor(checkout, skew) {
    this.checkout = checkout;
    this.unstored = !checkout.durable;
    this.shelf = new Shelf(checkout, (entry, item, quantity) => this.buy(entry.sku, quantity, item.price, chosenCard()), skew);
    this.orders = new Orders(checkout, this.shelf, (order, method) => this.again(order, method));
    this.turn = new Turn((sku) => this.shelf.title(sku));
  }

  async open(catalogue) {
    catalogue.forEach((entry) => this.shelf.add(entry));
    this.checkout.on("change", () => this.draw());
    this.checkout.on("reset", () => this.draw());
    this.checkout.on("connection", () => this.draw());
    this.draw();
    setInterval(() => { this.shelf.tick(); this.orders.tick(); }, 1000);
    void this.shelf.watch(() => this.draw());
    await this.checkout.start();
    this.orders.listed = true;
    this.draw();
  }

  draw() {
    const { connection } = this.checkout;
    showConnection(connection);
    const away = connection === "unreachable" && !this.checkout.signedIn ? "signedOut" : connection;
    notice(away, this.unstored && "unstored");
    this.orders.draw();
    this.turn.look(this.checkout.orders);
  }

  async buy(sku, quantity, price, method) {
    const body = { sku, quantity, payment_method: method, unit_price: price, locale: words.code };
    try {
      const order = await this.checkout.buy(body, { unstored: this.unstored });
      if (!this.orders.paidWith.has(order)) this.orders.paidWith.set(order, method);
      this.draw();
      this.orders.show(order);
      return order;
    } catch (error) {
      if (error.message === "not-stored") this.unstored = true; // said now; the next press is with open eyes
      else if (error.message !== "signed-out") throw error;
      this.draw();
      byId("notice").focus();
      return null;
    }
  }

  /** The same wish with another card: a new order, at the end of the line. */
  async again(order, method) {
    const price = this.shelf.item(order.sku)?.price;
    const next = await this.buy(order.sku, order.quantity, price, method);
    if (!next) return;
    this.orders.retried.add(order);
    this.draw();
    this.orders.focus(next);
  }
}

async function main() {
  speak();
  showCards();
  showLanguages();
  tidyAddress();
  const [{ body: catalogue, skew }, { body: shop }] = await Promise.all([patiently("catalog.json"), patiently("shop.json")]);
  byId("inbox").hidden = shop.inbox !== true; // only where the demo has a mail server
  await new Shop(new Checkout({ api: shop.api, session }), skew).open(catalogue);
}

main();
