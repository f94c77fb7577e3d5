// The buyer's orders, newest first, and what can be done about each.

import { isFinal, money } from "../checkout.js";
import { cardList, otherCard } from "./cards.js";
import { byId, clock, element, say } from "./dom.js";
import { locale, words } from "./words.js";

const PLACE_SPOKEN_MS = 30 * 1000;
const CARD_MAY_HELP = new Set(["payment_declined", "payment_failed"]);

export class Orders {
  /**
   * @param checkout the client
   * @param shelf knows titles and limits
   * @param again called with an order and a payment method: the same wish once more
   */
  constructor(checkout, shelf, again) {
    Object.assign(this, { checkout, shelf, again });
    this.listed = false; // whether the shop was asked for them
    this.views = new Map();
    this.said = new Map();
    this.paidWith = new WeakMap(); // order → payment method, on this page
    this.retried = new WeakSet();
  }

  /** Brings the page up to what the client knows. */
  draw() {
    const known = this.checkout.orders;
    for (const [order, view] of this.views) {
      if (!known.includes(order)) {
        view.root.remove();
        this.views.delete(order);
      }
    }
    known.forEach((order, index) => {
      const view = this.views.get(order) ?? this.make(order);
      if (byId("orders").children[index] !== view.root) byId("orders").insertBefore(view.root, byId("orders").children[index] ?? null);
      this.fill(order, view);
    });
    byId("no-orders").hidden = known.length > 0 || !this.listed || ["offline", "unreachable"].includes(this.checkout.connection);
  }

  make(order) {
    const button = (text, className, act) => {
      const made = element("button", { type: "button", className, textContent: text, hidden: true });
      made.addEventListener("click", () => act(made));
      return made;
    };
    const view = {
      what: element("h3", { className: "what" }),
      badge: element("span", { className: "badge" }),
      say: element("p", { className: "say" }),
      until: element("p", { className: "until" }),
      note: element("p", { className: "note" }),
      act: element("a", { className: "act", hidden: true, textContent: words.order.act }),
      send: button(words.order.send, "primary", () => this.checkout.send(order)),
      forget: button(words.order.forget, "plain", () => this.checkout.forget(order)),
      notify: button(words.order.notify, "plain", () => Notification.requestPermission().then(() => this.draw())),
      leave: button(words.order.leave, "plain", () => this.leave(order, view)),
      meta: element("p", { className: "meta" }),
    };
    view.cards = cardList();
    view.retry = element("div", { className: "retry", hidden: true }, element("label", {}, `${words.order.payWith} `, view.cards),
      element("button", { type: "button", className: "primary", textContent: words.order.again }));
    view.retry.lastChild.addEventListener("click", () => this.again(order, view.cards.value));
    const todo = element("div", { className: "todo" }, view.act, view.send, view.forget, view.retry, view.leave, view.notify);
    view.root = element("li", { className: "order", tabIndex: -1 }, view.what, view.badge, view.say, view.until, view.note, todo, view.meta);
    this.views.set(order, view);
    return view;
  }

  fill(order, view) {
    const held = view.root.contains(document.activeElement) ? document.activeElement : null;
    const [tone, badge, sentence] = words.describe(this.seen(order), this.shelf.most(order.sku));
    const title = this.shelf.title(order.sku);
    view.root.dataset.tone = tone;
    view.root.dataset.status = order.status;
    say(view.what, order.quantity > 1 ? `${title} × ${order.quantity}` : title);
    say(view.badge, badge);
    say(view.say, order.leaving ? words.order.leaving : sentence);
    if (isFinal(order)) say(view.note, "");
    this.offer(order, view);
    this.tickOne(order, view);
    const amount = order.amount !== undefined && order.currency ? money(order.amount, order.currency, locale) : "";
    const id = order.id ? words.order.number(order.id) : "";
    say(view.meta, [new Date(order.at).toLocaleTimeString(locale), amount, id].filter(Boolean).join(" · "));
    this.announce(order, `${title}: ${badge}. ${sentence}`);
    if (held && held.getClientRects().length === 0) this.focus(order); // what was pressed has gone: the keyboard stays here
  }

  /** What the shelf adds to an order's news. */
  seen(order) {
    return { ...order, paused: this.shelf.item(order.sku)?.state === "paused" };
  }

  offer(order, view) {
    const url = order.next_action?.url ?? "";
    view.act.hidden = !/^https?:/.test(url);
    if (!view.act.hidden && view.act.href !== url) view.act.href = url;
    view.send.hidden = view.forget.hidden = order.status !== "unsure";
    const retry = order.status === "rejected" && CARD_MAY_HELP.has(order.reason) && order.param !== "receipt_email" &&
      !this.retried.has(order);
    if (retry && view.retry.hidden) view.cards.value = otherCard(this.paidWith.get(order));
    view.retry.hidden = !retry;
    view.leave.hidden = order.leaving || !(["queued", "waiting"].includes(order.status) || order.next_action);
    say(view.leave, order.next_action ? words.order.give : words.order.leave);
    view.notify.hidden = order.status !== "waiting" || globalThis.Notification?.permission !== "default";
  }

  async leave(order, view) {
    if (view.asked) return; // not disabled meanwhile: that would take the keyboard's focus from it
    view.asked = true;
    const problem = await this.checkout.cancel(order);
    view.asked = false;
    if (problem && !isFinal(order)) say(view.note, problem.status === 409 ? words.order.tooLate : words.order.notLeft);
    this.draw();
  }

  /** Called every second. */
  tick() {
    for (const [order, view] of this.views) this.tickOne(order, view);
  }

  tickOne(order, view) {
    const bank = order.status === "reserved" && order.next_action?.expires_at;
    const end = bank || (order.status === "waiting" && order.expires_at);
    const left = end ? Date.parse(end) - Date.now() - this.shelf.skew : 0;
    const time = end ? new Date(Date.parse(end)).toLocaleTimeString(locale, { timeStyle: "short" }) : "";
    const minutes = order.status === "waiting" && Math.ceil(order.estimated_wait_s / 60);
    say(view.until, [minutes > 0 && words.order.turnIn(minutes), left > 0 && words.order[bank ? "until" : "waitUntil"](time, clock(left))]
      .filter(Boolean).join(" "));
  }

  /** One sentence for each change, for who hears the page; of a place that falls every second only some. */
  announce(order, sentence) {
    const { status } = order;
    const before = this.said.get(order);
    if (before?.sentence === sentence) return;
    const at = Date.now();
    if (status === "waiting" && before?.status === status && at - before.at < PLACE_SPOKEN_MS) return;
    this.said.set(order, { sentence, status, at });
    say(byId("spoken"), sentence);
  }

  focus(order) {
    this.views.get(order)?.root.focus({ preventScroll: true });
  }

  show(order) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.views.get(order)?.root.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
  }
}
