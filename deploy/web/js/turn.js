// What a buyer waits for must not pass unseen in a background tab: the tab's title, and a notification where it is allowed.

import { words } from "./words.js";

export class Turn {
  constructor(title) {
    this.title = title; // of an item
    this.known = new Map();
    this.news = ""; // not looked at yet
  }

  /** @param orders all that the client knows */
  look(orders) {
    for (const order of orders) this.tell(order);
    if (!document.hidden) this.news = "";
    const turn = orders.find((order) => order.status === "reserved" && order.next_action);
    const news = turn ? `${words.turn}: ${this.title(turn.sku)}` : this.news;
    document.title = news ? `● ${news}` : words.page.title;
  }

  tell(order) {
    const state = order.status === "reserved" && order.next_action ? "turn" : order.status;
    const before = this.known.get(order);
    this.known.set(order, state);
    if (before === undefined || before === state || !document.hidden) return;
    if (state === "turn") this.notify(order, words.turn, words.turnBody(this.title(order.sku)));
    if (state !== "confirmed") return;
    this.news = `${words.yours}: ${this.title(order.sku)}`;
    this.notify(order, words.yours, this.title(order.sku));
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
