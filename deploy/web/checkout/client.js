// The client: joins wishes, orders, calls and the socket. See ../checkout.js.

import { Book } from "./book.js";
import { Events } from "./events.js";
import { Api, OtherLogin } from "./http.js";
import { getItem } from "./items.js";
import { isFinal } from "./orders.js";
import { watchPage } from "./page.js";
import { Sender } from "./sender.js";
import { Session } from "./session.js";
import { Wishes, browserStorage, newKey } from "./wishes.js";

const POLL_MS = 2000;
const LONGEST_POLL_MS = 15 * 1000;
const DOUBT_MS = 60 * 1000; // a live socket may have died without a word: one look so often
const FAILING_MS = 3000; // for so long no call was answered: the shop is away
const LISTED = 50;

/**
 * How it stands with the shop. `offline`: the browser has no network. `unreachable`: the shop has not answered for some seconds.
 * `ready`: no order is open. `live`: news come at once. `reconnecting`: they are asked for every two seconds.
 * @typedef {"offline" | "unreachable" | "ready" | "connecting" | "live" | "reconnecting"} Connection
 */
/**
 * @typedef {object} Options
 * @property {string} api where checkout-producer is: "https://api.shop.example"; "" for the page's own origin
 * @property {() => Promise<import("./session.js").SessionAnswer>} session asks the shop's backend for the buyer's token
 * @property {Storage | null} [storage] localStorage if absent
 * @property {typeof fetch} [fetch] for tests
 * @property {(url: string, protocol: string) => WebSocket} [open] for tests
 * @property {() => number} [now] for tests
 */
/**
 * @typedef {object} Listeners
 * @property {(order: import("./orders.js").Order) => void} change an order is new, or something about it has changed
 * @property {(state: Connection) => void} connection
 * @property {() => void} reset another buyer has signed in: forget all orders
 */

export class Checkout {
  /** @param {Options} options */
  constructor({ api, session, storage = browserStorage(), fetch = globalThis.fetch.bind(globalThis),
    open = (url, protocol) => new WebSocket(url, protocol), now = Date.now }) {
    this.now = now;
    this.wishes = new Wishes(storage, now);
    this.session = new Session(session, now);
    this.api = new Api({ base: api, session: this.session, fetch, now, reached: (yes) => this.reached(yes) });
    this.sender = new Sender({ api: this.api, fresh: (wish) => this.wishes.fresh(wish) });
    this.events = new Events({ open, url: () => this.eventsUrl(), heard: (event) => this.heard(event), state: () => this.connected() });
    this.book = this.newBook();
    /** @type {Map<string, import("./wishes.js").Wish>} those that were not answered, by key */
    this.unanswered = new Map();
    this.sub = "";
    this.answers = true;
    this.answeredAt = -Infinity;
    this.running = false;
    /** @type {Connection} */
    this.connection = "ready";
    /** @type {{ [name in keyof Listeners]: Set<Listeners[name]> }} */
    this.listeners = { change: new Set(), connection: new Set(), reset: new Set() };
    this.looks = 1; // how often the list is still to be looked at
    this.polls = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.leavePage = () => {};
  }

  /** Whether a wish outlives a reload. If not, say so before anybody buys. @returns {boolean} */
  get durable() {
    return this.wishes.durable();
  }

  /** Whether the shop's backend gave a token when it was last asked. Without one nothing can be bought. @returns {boolean} */
  get signedIn() {
    return !this.session.failing;
  }

  /** All that is known, newest first. @returns {readonly import("./orders.js").Order[]} */
  get orders() {
    return [...this.book.orders].reverse();
  }

  /**
   * @template {keyof Listeners} Name
   * @param {Name} name
   * @param {Listeners[Name]} listener
   * @returns {() => void} ends it
   */
  on(name, listener) {
    this.listeners[name].add(listener);
    return () => this.listeners[name].delete(listener);
  }

  /**
   * Signs in, sends what a previous page could not, and fetches the buyer's orders. Never rejects: what cannot be
   * reached now is tried again by itself.
   */
  async start() {
    this.running = true;
    this.leavePage = watchPage({ online: () => this.online(), offline: () => this.connected(), seen: () => this.seen(),
      back: () => { void this.renew(); this.online(); }, stored: (name) => this.elsewhere(name) });
    this.connected();
    await this.adopt();
    this.schedule();
  }

  /** Somebody may have signed in without a new page: asks `session` again. Never rejects. @returns {Promise<void>} */
  async renew() {
    this.session.forget();
    await this.adopt();
    this.schedule();
  }

  /** Ends sockets, timers and attempts. Wishes stay stored for the next page. */
  stop() {
    this.running = false;
    this.leavePage();
    clearTimeout(this.timer);
    this.sender.stop();
    this.events.rest();
  }

  /**
   * Makes an order of it and sends it. The second click of a double click is the same wish: it gives the same order.
   * @param {import("./wishes.js").OrderBody} body
   * @param {{ unstored?: boolean }} [how] unstored: the buyer knows that a reload may forget it
   * @returns {Promise<import("./orders.js").Order>} at once, as `sending`
   * @throws {Error} "not-stored": nothing was sent, since the browser keeps nothing; "signed-out": there is no token now
   */
  async buy(body, { unstored = false } = {}) {
    const login = await this.session.get().catch((cause) => {
      this.reached(false);
      this.schedule();
      throw new Error("signed-out", { cause });
    });
    this.become(login.sub);
    const same = this.book.pressedJustNow(body, this.now());
    if (same) return same;
    const wish = { key: newKey(), sub: login.sub, sku: body.sku, quantity: body.quantity, at: this.now(), body };
    if (!this.wishes.save(wish) && !unstored) throw new Error("not-stored");
    const order = this.book.add(wish, "sending");
    void this.deliver(wish, order);
    return order;
  }

  /** "Yes, send it": for an order that is `unsure`. @param {import("./orders.js").Order} order */
  send(order) {
    const wish = this.unanswered.get(order.key ?? "");
    if (order.status !== "unsure" || !wish) return;
    wish.sure = this.now();
    this.wishes.save(wish);
    order.status = "sending";
    delete order.problem;
    this.changed(order);
    void this.deliver(wish, order);
  }

  /** "No, forget it": if it did arrive, it comes back with the buyer's list. @param {import("./orders.js").Order} order */
  forget(order) {
    if (order.status !== "unsure") return;
    this.end(order, { type: "forgotten" });
    this.lookSoon();
  }

  /**
   * Asks for an order to be cancelled. What became of it comes as a change.
   * @param {import("./orders.js").Order} order
   * @returns {Promise<import("./orders.js").Problem | null>} null: it was asked for
   */
  async cancel(order) {
    if (!order.id || isFinal(order)) return { status: 409, type: "/problems/not-cancellable" };
    const { status, body } = await this.mine("DELETE", `/v1/orders/${order.id}`);
    if (status !== 200 && status !== 202) return { status, ...body };
    order.leaving = true;
    if (!(status === 200 && this.book.learn(order, { status: body.status }, null))) this.changed(order);
    return null;
  }

  /** @param {string} sku @returns {Promise<import("./items.js").Item | null>} null: there is none; rejects while the shop does not answer */
  async item(sku) {
    return getItem(this.api, sku);
  }

  // ---- who it is ----

  /** Finds out who it is, and takes up what belongs to them. @returns {Promise<boolean>} */
  async adopt() {
    try {
      this.become((await this.session.get()).sub);
    } catch {
      this.reached(false);
      return false;
    }
    return this.lookAtList();
  }

  /** @param {string} sub */
  become(sub) {
    if (sub === this.sub) return;
    const first = this.sub === "";
    this.sub = sub;
    this.events.forget();
    this.book = this.newBook(); // who still holds the previous one belongs to the previous login
    this.looks = 1;
    this.unanswered.clear();
    if (!first) this.tell("reset");
    for (const wish of this.wishes.of(sub)) this.resume(wish);
  }

  /** A wish that a previous page, or another tab, has left. @param {import("./wishes.js").Wish} wish */
  resume(wish) {
    if (this.book.find({ key: wish.key, id: wish.id })) return;
    if (wish.id) {
      void this.lookAt(this.book.add(wish, "queued"));
    } else {
      this.unanswered.set(wish.key, wish);
      const order = this.book.add(wish, this.wishes.fresh(wish) ? "sending" : "unsure");
      if (order.status === "sending") void this.deliver(wish, order);
    }
  }

  /** Another tab has stored something. @param {string | null} name */
  elsewhere(name) {
    const wish = this.wishes.read(name);
    if (wish?.sub === this.sub && wish.id) this.resume(wish);
  }

  /** A call as the buyer whose orders are shown. @param {string} method @param {string} path */
  async mine(method, path) {
    const sub = this.sub;
    try {
      const answer = await this.api.as(sub, method, path);
      return sub === this.sub ? answer : { status: 0, body: {}, retryAfter: null };
    } catch (error) {
      if (error instanceof OtherLogin) await this.adopt();
      return { status: 0, body: {}, retryAfter: null };
    }
  }

  // ---- wishes ----

  /** @param {import("./wishes.js").Wish} wish @param {import("./orders.js").Order} order */
  async deliver(wish, order) {
    const mine = this.book;
    this.unanswered.set(wish.key, wish);
    /** @type {import("./sender.js").Outcome} */
    let outcome;
    try {
      outcome = await this.sender.send(wish, (problem) => this.trying(order, problem));
    } catch (error) {
      if (!(error instanceof OtherLogin)) throw error;
      await this.adopt(); // somebody else: the wish stays stored for the one who made it
      return;
    }
    if (mine !== this.book || outcome.how === "stopped") return;
    if (outcome.how === "accepted") this.accept(wish, order, outcome.body);
    else if (outcome.how === "unsure") this.doubt(wish, order);
    else this.end(order, outcome.problem);
    // an attempt before the refused one may have arrived
    if (outcome.how === "unsure" || (outcome.how === "refused" && outcome.unheard)) this.lookSoon();
    for (const event of mine.early.splice(0)) this.heard(event);
  }

  /** There may be an order that this page does not know. */
  lookSoon() {
    this.looks = 3;
    void this.lookAtList();
  }

  /** @param {import("./orders.js").Order} order @param {import("./orders.js").Problem} problem */
  trying(order, problem) {
    if (order.status !== "sending") return;
    order.retrying = true;
    order.problem = problem;
    this.changed(order);
  }

  /** @param {import("./wishes.js").Wish} wish @param {import("./orders.js").Order} order @param {any} body */
  accept(wish, order, body) {
    this.unanswered.delete(wish.key);
    this.wishes.accepted(wish, body.id);
    delete wish.body;
    this.book.identify(order, body.id);
    if (order.status === "sending") order.message = body.message;
    // what it tells of an order that was sent before; of a state of a later version, that it is accepted
    if (!this.book.learn(order, body, null) && !this.book.learn(order, { status: "queued" }, null)) this.changed(order);
    if (isFinal(order)) this.rest();
    else this.events.want(body.events_url);
    this.schedule();
  }

  /** Too late to be sent without asking; after a day there is nothing to ask. */
  doubt(/** @type {import("./wishes.js").Wish} */ wish, /** @type {import("./orders.js").Order} */ order) {
    if (this.wishes.ended(wish)) {
      this.end(order, { type: "forgotten" });
      return;
    }
    order.status = "unsure";
    this.changed(order);
  }

  /** @param {import("./orders.js").Order} order @param {import("./orders.js").Problem} problem */
  end(order, problem) {
    order.status = "refused";
    order.problem = problem;
    delete order.retrying;
    this.changed(order);
  }

  /** Nothing of it needs to be kept in this browser. @param {import("./orders.js").Order} order */
  settled(order) {
    if (!order.key) return;
    this.wishes.remove(order.key);
    this.unanswered.delete(order.key);
  }

  // ---- orders ----

  newBook() {
    return new Book((order) => this.changed(order));
  }

  /** @param {any} event a CloudEvent */
  heard(event) {
    if (this.book.heard(event)) this.rest();
  }

  /** Asks how an order is. @param {import("./orders.js").Order} order @returns {Promise<any>} null: no answer */
  async lookAt(order) {
    const { status, body } = await this.mine("GET", `/v1/orders/${order.id}`);
    if (status === 404) this.end(order, { type: "unknown-order" });
    if (status !== 200) return null;
    this.book.learn(order, body, Array.isArray(body.history) ? body.history.length : null);
    if (isFinal(order)) this.rest();
    else this.events.want(body.events_url);
    this.schedule();
    return body;
  }

  /** The buyer's orders as the server lists them: also those of other browsers. @returns {Promise<boolean>} */
  async lookAtList() {
    const { status, body } = await this.mine("GET", `/v1/orders?limit=${LISTED}`);
    if (status !== 200 || !Array.isArray(body.orders)) return false;
    let missed = false; // by the socket
    const doubt = this.looks === 0;
    this.looks = Math.max(this.looks - 1, 0);
    for (const listed of body.orders) {
      const known = this.book.find({ id: listed.id });
      if (!known && this.book.maybeSending(listed.sku)) {
        this.looks = Math.max(this.looks, 1);
        continue;
      }
      const order = known ?? this.book.add({ ...listed, key: undefined, at: Date.parse(listed.created_at) }, "queued");
      const before = order.status;
      this.book.learn(order, listed, null);
      missed ||= doubt && known !== undefined && order.status !== before;
      if (!known && !isFinal(order)) void this.lookAt(order);
    }
    this.rest();
    if (missed && this.events.now === "live") this.events.again(); // it may have died without a word
    this.schedule();
    return true;
  }

  rest() {
    if (this.book.open().length === 0) this.events.rest();
  }

  /** @returns {Promise<string | null>} */
  async eventsUrl() {
    const order = this.book.open().at(-1);
    const { status, body } = order ? await this.mine("GET", `/v1/orders/${order.id}`) : { status: 0, body: {} };
    if (status !== 200) return null;
    if (order) this.book.learn(order, body, Array.isArray(body.history) ? body.history.length : null);
    return body.events_url;
  }

  // ---- the clock ----

  /** One timer: polls without a socket; with one, looks once a minute; without orders, until they could be listed. */
  schedule() {
    clearTimeout(this.timer);
    if (!this.running || (this.sub !== "" && this.signedIn && this.looks === 0 && this.book.open().length === 0)) return;
    const polling = this.events.now !== "live" || this.looks > 0;
    const wait = polling ? Math.min(POLL_MS * 1.5 ** this.polls, LONGEST_POLL_MS) : DOUBT_MS;
    this.timer = setTimeout(() => void this.tick(), wait * (1 + Math.random() / 2));
  }

  async tick() {
    const open = this.book.open();
    let good = true;
    if (this.sub === "" || !this.signedIn) good = await this.adopt();
    else if (this.looks > 0 || this.events.now === "live") good = await this.lookAtList();
    else good = (await Promise.all(open.map((order) => this.lookAt(order)))).every(Boolean);
    this.polls = good ? 0 : this.polls + 1;
    this.schedule();
  }

  /** The page is looked at: in the background a phone may have let the socket die. */
  async seen() {
    if (this.book.open().length > 0) await this.tick();
  }

  online() {
    this.connected();
    this.sender.hurry();
    this.events.again();
    this.polls = 0;
    void this.tick();
  }

  // ---- telling ----

  /** @param {boolean} yes */
  reached(yes) {
    if (yes) this.answeredAt = this.now();
    // one call that fails between others that do not says nothing about the shop
    this.answers = yes || Math.abs(this.now() - this.answeredAt) < FAILING_MS;
    this.connected();
  }

  connected() {
    /** @type {Connection} */
    let state = this.events.now === "idle" ? "ready" : this.events.now;
    if (!this.answers || !this.signedIn) state = "unreachable"; // who cannot sign in cannot buy
    if (globalThis.navigator?.onLine === false) state = "offline";
    if (state === this.connection) return;
    this.connection = state;
    this.tell("connection", state);
    this.schedule();
  }

  /** @param {import("./orders.js").Order} order */
  changed(order) {
    if (isFinal(order)) this.settled(order);
    this.tell("change", order);
  }

  /** @param {keyof Listeners} name @param {any} [what] */
  tell(name, what) {
    for (const listener of this.listeners[name]) /** @type {any} */ (listener)(what);
  }
}
