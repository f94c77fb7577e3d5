// What is known of a buyer's orders. Pure: no network, no clock.

/** @typedef {"sending" | "unsure" | "refused" | "queued" | "waiting" | "reserved" | "confirmed" | "rejected" | "cancelled" | "refunded"} Status */
/**
 * A problem of RFC 9457, as the server gave it.
 * @typedef {object} Problem
 * @property {string} [type]
 * @property {string} [title]
 * @property {number} [status] 0: nothing was heard
 * @property {string} [detail]
 */
/**
 * An order as a page shows it. `sending`: not answered yet. `unsure`: unanswered for so long that the buyer is asked,
 * see Checkout.send and Checkout.forget. `refused`: the server said no (`problem`). The others are the server's.
 * @typedef {object} Order
 * @property {string} [key] of a wish made in this browser
 * @property {string} [id] once the server has given it
 * @property {string} sku
 * @property {number} quantity
 * @property {number} at ms: when it was made
 * @property {Status} status
 * @property {number} sequence of the newest event that is known, 0 without one
 * @property {string} [reason] of a rejection
 * @property {string} [message]
 * @property {number} [place_in_line]
 * @property {string} [expires_at] until when it may wait; absent while its time stands still
 * @property {number} [estimated_wait_s] about so long, if the line goes on as it does
 * @property {number} [amount] minor units
 * @property {string} [currency]
 * @property {string} [reference]
 * @property {{ type: string, url?: string, client_secret?: string, expires_at?: string }} [next_action]
 * @property {string} [payment_problem] what may help after payment_failed
 * @property {string} [param] the field that the gateway refused, e.g. receipt_email
 * @property {Problem} [problem]
 * @property {boolean} [retrying] while `sending`: at least one attempt got no clear answer
 * @property {boolean} [leaving] its cancel is asked for
 */

const RANK = { sending: 0, unsure: 0, refused: 0, queued: 1, waiting: 2, reserved: 3, confirmed: 4, rejected: 4, cancelled: 4, refunded: 5 };
const FINAL = new Set(["confirmed", "rejected", "cancelled", "refunded", "refused"]);
const NEWS = /** @type {const} */ (["reason", "place_in_line", "expires_at", "next_action", "payment_problem", "param"]);
const PLACE = /** @type {const} */ (["place_in_line", "expires_at", "estimated_wait_s"]);
const FACTS = /** @type {const} */ (["amount", "currency", "reference", "sku", "quantity"]);

/** Whether nothing more is to be expected of it. @param {Pick<Order, "status">} order */
export const isFinal = (order) => FINAL.has(order.status);

/**
 * Takes in news of an order, unless older than what is known.
 * @param {Order} order
 * @param {Partial<Order> & { status: Status }} news
 * @param {object} source
 * @param {number | null} source.sequence of the order's newest event when this was said; null where that is unknown
 * @param {boolean} source.event it is that event, which may come again; otherwise the answer to a question
 * @returns {boolean} whether anything changed
 */
export function learn(order, news, { sequence, event }) {
  if (!(news.status in RANK)) return false; // of a later version
  if (sequence !== null && (event ? sequence <= order.sequence : sequence < order.sequence)) return false;
  if (sequence === null && RANK[news.status] < RANK[order.status]) return false;
  const before = JSON.stringify(order);
  const whole = sequence !== null || order.status !== news.status;
  const place = order.place_in_line;
  order.status = news.status;
  order.sequence = Math.max(order.sequence, sequence ?? 0);
  for (const name of NEWS) take(order, news, name, whole);
  for (const name of FACTS) take(order, news, name, false);
  take(order, news, "estimated_wait_s", !event && !news.expires_at); // not every server knows it at once
  if (place && order.place_in_line) order.place_in_line = Math.min(place, order.place_in_line); // a line only moves up
  tidy(order);
  return JSON.stringify(order) !== before;
}

/**
 * Takes in the place in line of an order that waits. The place of an earlier state says nothing, and none rises.
 * @param {Order} order
 * @param {Partial<Order>} news
 * @param {number} sequence of the event by which it waits
 * @returns {boolean} whether anything changed
 */
export function learnPlace(order, news, sequence) {
  if (order.status !== "waiting" || sequence !== order.sequence) return false;
  const before = JSON.stringify(order);
  const place = order.place_in_line;
  for (const name of PLACE) take(order, news, name, true);
  if (place && order.place_in_line) order.place_in_line = Math.min(place, order.place_in_line);
  return JSON.stringify(order) !== before;
}

/** @param {Order} order */
function tidy(order) {
  if (order.status !== "queued") delete order.message;
  if (order.status !== "waiting") {
    delete order.place_in_line;
    delete order.estimated_wait_s;
  }
  if (RANK[order.status] > 0) {
    delete order.problem;
    delete order.retrying;
  }
  if (isFinal(order)) delete order.leaving;
}

/**
 * @param {any} order @param {any} news @param {string} name
 * @param {boolean} whole absent means "no more", not "unknown"
 */
function take(order, news, name, whole) {
  if (news[name] !== undefined && news[name] !== null) order[name] = news[name];
  else if (whole) delete order[name];
}

/** Decimal numbers of any length. @param {string} a @param {string} b @returns {string} the greater one */
export function greater(a, b) {
  if (a.length !== b.length) return a.length > b.length ? a : b;
  return a > b ? a : b;
}
