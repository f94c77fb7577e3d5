// The orders of one login, as far as they are known here.

import { isFinal, learn, learnPlace } from "./orders.js";

const EARLY_AT_MOST = 100;
const DOUBLE_CLICK_MS = 1000;
const PLACE = "checkout.order.place.v1";

/** @typedef {import("./orders.js").Order} Order */

export class Book {
  /** @param {(order: Order) => void} changed told of each order that is new or has changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Order[]} oldest first */
    this.orders = [];
    /** @type {any[]} events that came before the answer to their own POST, perhaps */
    this.early = [];
  }

  /** @param {{ key?: string, id?: string }} what */
  find({ key, id }) {
    return this.orders.find((order) => (id !== undefined && order.id === id) || (key !== undefined && order.key === key));
  }

  /**
   * @param {{ key?: string, id?: string, sku: string, quantity: number, at: number }} what
   * @param {import("./orders.js").Status} status
   */
  add({ key, id, sku, quantity, at }, status) {
    /** @type {Order} */
    const order = { key, id, sku, quantity, at, status, sequence: 0 };
    const place = this.orders.findIndex((other) => other.at > at);
    this.orders.splice(place < 0 ? this.orders.length : place, 0, order);
    this.changed(order);
    return order;
  }

  /**
   * @param {Order} order
   * @param {any} news
   * @param {number | null} sequence
   * @param {boolean} [event]
   * @returns {boolean}
   */
  learn(order, news, sequence, event = false) {
    const changed = learn(order, news, { sequence, event });
    if (changed) this.changed(order);
    return changed;
  }

  /** Orders of which the server will tell more. */
  open() {
    return this.orders.filter((order) => order.id && !isFinal(order));
  }

  /** The same wish, by a click a moment ago. @param {import("./wishes.js").OrderBody} body @param {number} now */
  pressedJustNow({ sku, quantity }, now) {
    return this.orders.find((order) => order.key && !isFinal(order) && now - order.at < DOUBLE_CLICK_MS &&
      order.sku === sku && order.quantity === quantity);
  }

  /** An order that is not known may be one whose POST has not been answered. @param {string} sku */
  maybeSending(sku) {
    return this.orders.some((order) => order.status === "sending" && order.sku === sku);
  }

  /** @param {any} event a CloudEvent @returns {Order | null} null: it tells nothing yet */
  heard({ type, data, sequence, time }) {
    if (typeof data.order_id !== "string" || typeof sequence !== "number") return null; // not about an order
    let order = this.find({ id: data.order_id });
    if (!order && this.maybeSending(data.sku)) {
      this.early = [...this.early, { type, data, sequence, time }].slice(-EARLY_AT_MOST);
      return null;
    }
    if (type === PLACE) {
      if (order && learnPlace(order, data, sequence)) this.changed(order);
      return null;
    }
    order ??= this.add({ id: data.order_id, sku: data.sku, quantity: data.quantity, at: Date.parse(time) }, "queued");
    this.learn(order, data, sequence, true);
    return order;
  }

  /** This order has that id: what another entry learnt of the id is its own. @param {Order} order @param {string} id */
  identify(order, id) {
    const known = this.find({ id });
    if (known && known !== order) {
      this.orders.splice(this.orders.indexOf(known), 1);
      Object.assign(order, known, { key: order.key, at: order.at });
    }
    order.id = id;
  }
}
