// "Your turn" must not pass unseen in a background tab: the tab's title, and a notification where it is allowed.

import { words } from "./words.js";

export class Turn {
  constructor(title) {
    this.title = title; // of an item
    this.known = new Map();
  }

  /** @param orders all that the client knows */
  look(orders) {
    const turns = orders.filter((order) => order.status === "reserved" && order.next_action);
    document.title = turns.length > 0 ? `● ${words.turn}: ${this.title(turns[0].sku)}` : words.page.title;
    for (const order of orders) this.tell(order);
  }

  tell(order) {
    const state = order.status === "reserved" && order.next_action ? "turn" : order.status;
    const before = this.known.get(order);
    this.known.set(order, state);
    if (before === undefined || before === state || !document.hidden) return;
    if (state === "turn") this.notify(order, words.turn, words.turnBody(this.title(order.sku)));
    if (state === "confirmed") this.notify(order, words.yours, this.title(order.sku));
  }

  notify(order, title, body) {
    if (globalThis.Notification?.permission !== "granted") return;
    try {
      const notification = new Notification(title, { body, tag: order.id });
      notification.onclick = () => {
        window.focus();
        notification.close();
      };
    } catch {
      // some phones allow them to service workers only
    }
  }
}
