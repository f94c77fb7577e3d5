// The shelf: what is on sale, as the shop says every two seconds.

import { money } from "../checkout.js";
import { byId, clock, element, say } from "./dom.js";
import { locale, words } from "./words.js";

const LOOK_MS = 2000;
const OLD_MS = 8000;

export class Shelf {
  /**
   * @param checkout the client
   * @param pressed called with an entry, its item and a quantity
   * @param skew ms that the shop's clock is ahead of the browser's
   */
  constructor(checkout, pressed, skew) {
    Object.assign(this, { checkout, pressed, skew });
    this.places = new Map();
  }

  add(entry) {
    const text = words.items?.[entry.sku] ?? entry;
    const parts = {
      price: element("span", { className: "price", textContent: "…" }),
      left: element("span", { className: "left" }),
      quantity: element("select", { ariaLabel: words.item.quantity(text.title) }),
      label: element("span", { textContent: words.item.buy }),
    };
    for (let n = 1; n <= entry.most; n += 1) parts.quantity.append(element("option", { value: n, textContent: n }));
    parts.button = element("button", { type: "button", className: "primary", disabled: true }, parts.label, " ",
      element("span", { className: "unseen", textContent: text.title }));
    const card = element("article", { className: "item" },
      element("img", { src: `art/${entry.art}.svg`, alt: "", width: 320, height: 240 }),
      element("div", { className: "body" },
        element("p", { className: "kicker", textContent: text.kicker }),
        element("h3", { textContent: text.title }),
        element("p", { className: "story", textContent: text.story }),
        element("div", { className: "facts" }, parts.price, parts.left),
        element("div", { className: "buy" }, parts.quantity, parts.button)));
    byId("shelf").append(card);
    const place = { entry, text, card, ...parts, item: null, seen: 0 };
    parts.button.addEventListener("click", () => this.pressed(place.entry, place.item, Number(parts.quantity.value)));
    this.places.set(entry.sku, place);
    this.draw(place);
  }

  title(sku) {
    return this.places.get(sku)?.text.title ?? sku;
  }

  item(sku) {
    return this.places.get(sku)?.item ?? null;
  }

  /** How many one customer may have of it: as the shop's server says, or as its page knows. */
  most(sku) {
    return this.item(sku)?.limit_per_user ?? this.places.get(sku)?.entry.most;
  }

  /** Looks for as long as the page is open; `after` is called after each look. */
  async watch(after) {
    for (;;) {
      if (!document.hidden) await this.look();
      after();
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  async look() {
    await Promise.all([...this.places.values()].map(async (place) => {
      try {
        place.item = await this.checkout.item(place.entry.sku);
        place.seen = Date.now();
      } catch {
        // what was seen last stays, until it is too old
      }
      this.draw(place);
    }));
  }

  /** Called every second: countdowns go on, and what is old is said to be. */
  tick() {
    for (const place of this.places.values()) this.draw(place);
  }

  draw(place) {
    const { item } = place;
    const { state, left, label, low = false } = this.describe(place);
    place.card.dataset.state = state;
    place.card.dataset.old = String(item !== null && Date.now() - place.seen > OLD_MS);
    if (item) say(place.price, money(item.price, item.currency, locale));
    say(place.left, left);
    place.left.dataset.low = String(low);
    say(place.label, label);
    place.button.disabled = !["on_sale", "paused"].includes(state);
    place.quantity.hidden = place.button.disabled || place.entry.most === 1;
  }

  describe({ item, seen }) {
    const say = words.item;
    if (!item) return { state: "unknown", left: seen || this.checkout.connection === "unreachable" ? say.unknown : "", label: say.buy };
    const opens = item.opens_at ? Date.parse(item.opens_at) : 0;
    switch (item.state) {
      case "sold_out":
        return { state: item.state, left: say.soldOut, label: say.soldOut };
      case "closed":
        return { state: item.state, left: say.closed, label: say.closed };
      case "paused":
        return { state: item.state, left: say.paused, label: say.join };
      case "upcoming":
        return { state: item.state, left: say.opens(when(opens), clock(opens - Date.now() - this.skew)), label: say.soon };
      default:
        return item.available > 0 ? { state: item.state, left: say.left(item.available), label: say.buy, low: item.available <= 5 } :
          { state: item.state, left: say.spoken(item.waiting), label: say.join };
    }
  }
}

/** The time, with the day if it is not today. */
function when(ms) {
  const date = new Date(ms);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(locale, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}
