// The storefront: a shelf, a card to pay with, and the orders of this browser.

import * as api from "./api.js";
import { News } from "./events.js";
import { CARDS, FINAL, describe, money } from "./words.js";

const REMEMBERED = "maison-unique-orders";
const REMEMBER_AT_MOST = 20;
const LOOK_AT_SHELF_MS = 2000;
const POLL_MS = 2000;

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// ---- paying ----

function showCards() {
  CARDS.forEach((card, index) => {
    const input = element("input", { type: "radio", name: "card", value: card.method, checked: index === 0 });
    byId("cards").append(element("label", {}, input, card.label));
  });
}

const chosenCard = () => document.querySelector("input[name=card]:checked").value;

// ---- the shelf ----

const shelf = new Map();

function addToShelf(entry) {
  const price = element("span", { className: "price", textContent: "…" });
  const left = element("span", { className: "left" });
  const quantity = element("select", { ariaLabel: `How many: ${entry.title}` });
  for (let n = 1; n <= entry.most; n += 1) quantity.append(element("option", { value: n, textContent: n }));
  const button = element("button", { type: "button", textContent: "Buy now", disabled: true });
  button.setAttribute("aria-label", `Buy now: ${entry.title}`);
  const card = element("article", { className: "item" },
    element("img", { src: `art/${entry.art}.svg`, alt: "", width: 320, height: 240 }),
    element("div", { className: "body" },
      element("p", { className: "kicker", textContent: entry.kicker }),
      element("h3", { textContent: entry.title }),
      element("p", { className: "story", textContent: entry.story }),
      element("div", { className: "facts" }, price, left),
      element("div", { className: "buy" }, quantity, button)));
  byId("shelf").append(card);
  const place = { entry, card, price, left, quantity, button, item: null, pressed: null };
  button.addEventListener("click", () => buy(place));
  shelf.set(entry.sku, place);
}

function showItem(place, item) {
  place.item = item;
  place.price.textContent = money(item.price, item.currency);
  const soldOut = item.state === "sold_out";
  place.card.dataset.state = item.state;
  place.left.textContent = soldOut ? "Sold out" : item.available > 0 ? `${item.available} left` : "All spoken for";
  place.left.dataset.low = String(!soldOut && item.available <= 5);
  place.button.disabled = soldOut;
  place.button.textContent = soldOut ? "Sold out" : item.available > 0 ? "Buy now" : "Join the line";
  place.quantity.hidden = soldOut || place.entry.most === 1;
}

async function lookAtShelf() {
  if (!document.hidden) {
    await Promise.all([...shelf.values()].map(async (place) => {
      const item = await api.item(place.entry.sku).catch(() => null);
      if (item) showItem(place, item);
    }));
  }
  setTimeout(lookAtShelf, LOOK_AT_SHELF_MS);
}

// ---- orders ----

const orders = new Map(); // by the key of the click; `id` once the server has told it

function remember() {
  const list = [...orders.values()].filter((order) => order.id).slice(-REMEMBER_AT_MOST)
    .map(({ key, id, title, quantity, placed }) => ({ key, id, title, quantity, placed }));
  localStorage.setItem(REMEMBERED, JSON.stringify(list));
}

function show(order) {
  const { tone, badge, say } = describe(order);
  if (!order.view) {
    const parts = { what: element("p", { className: "what" }), badge: element("span", { className: "badge" }),
      say: element("p", { className: "say" }),
      act: element("a", { className: "act", target: "_blank", rel: "noopener", hidden: true }, "Confirm at your bank"),
      meta: element("p", { className: "meta" }) };
    order.view = { root: element("li", { className: "order" }, ...Object.values(parts)), ...parts };
    byId("orders").prepend(order.view.root);
    byId("no-orders").hidden = true;
  }
  const { root, what, meta } = order.view;
  root.dataset.tone = tone;
  root.dataset.status = order.status;
  what.textContent = order.quantity > 1 ? `${order.title} × ${order.quantity}` : order.title;
  order.view.badge.textContent = badge;
  const page = /^https?:/.test(order.next_action?.url ?? "") ? order.next_action.url : null;
  order.view.act.hidden = !page;
  if (page) order.view.act.href = page;
  order.view.say.textContent = order.note && order.status === "sending" ? order.note : say;
  const amount = order.amount && order.currency ? ` · ${money(order.amount, order.currency)}` : "";
  meta.textContent = `${new Date(order.placed).toLocaleTimeString()}${amount}${order.id ? ` · order ${order.id}` : ""}`;
}

// Takes in what the server tells of an order; older news than we have is dropped.
function learn(order, news) {
  if (news.sequence !== undefined) {
    if (news.sequence <= (order.sequence ?? 0)) return;
    order.sequence = news.sequence;
  }
  const { status, reason, place_in_line, amount, currency, message, next_action } = news;
  Object.assign(order, { status, reason, place_in_line, message, next_action });
  if (amount !== undefined) Object.assign(order, { amount, currency });
  show(order);
  settleDown();
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const openOrders = () => [...orders.values()].filter((order) => order.id && !FINAL.has(order.status));

function settleDown() {
  if (openOrders().length === 0) news.rest();
}

async function buy(place) {
  // the second click of a double click is the same wish: same key, one order
  const again = place.pressed && Date.now() - place.pressed.placed < 1000;
  const order = again ? place.pressed : { key: crypto.randomUUID(), title: place.entry.title,
    quantity: Number(place.quantity.value), placed: Date.now(), status: "sending" };
  place.pressed = order;
  if (!again) {
    orders.set(order.key, order);
    show(order);
    order.view.root.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
  }
  const answer = await api.place({ sku: place.entry.sku, quantity: order.quantity, payment_method: chosenCard(),
    unit_price: place.item.price }, order.key, (note) => { order.note = note; show(order); });
  if (order.status !== "sending") return;
  order.id = answer.id;
  Object.assign(order, { status: answer.status, message: answer.message, problem: answer.problem });
  show(order);
  remember();
  if (answer.events_url) news.want(answer.events_url);
}

async function refresh(order) {
  const known = await api.order(order.id);
  if (!known) return known;
  const { status, reason, place_in_line, amount, currency } = known;
  if (!FINAL.has(order.status) || FINAL.has(status)) {
    learn(order, { status, reason, place_in_line, amount: amount ?? undefined, currency });
  }
  return known;
}

const news = new News({
  heard: (event) => {
    for (const order of orders.values()) if (order.id === event.order_id) learn(order, event);
  },
  state: (state) => {
    byId("live").dataset.state = state;
    byId("live-text").textContent = { live: "live", idle: "ready", polling: "reconnecting" }[state];
  },
  freshUrl: async () => {
    const [order] = openOrders();
    return order ? (await api.order(order.id))?.events_url ?? null : null;
  },
});

// While the socket is down, and for an answer that its first moments may have missed, we ask.
async function poll() {
  for (const order of openOrders()) {
    if (!news.open || Date.now() - order.placed > 10000) await refresh(order);
  }
  setTimeout(poll, POLL_MS);
}

async function recall() {
  let list = [];
  try {
    list = JSON.parse(localStorage.getItem(REMEMBERED)) ?? [];
  } catch {
    // somebody else's text: begin afresh
  }
  for (const kept of list) {
    const order = { ...kept, status: "queued" };
    orders.set(order.key, order);
    const known = await refresh(order).catch(() => undefined);
    if (known === null) {
      orders.delete(order.key);
      continue;
    }
    show(order);
    if (known && !FINAL.has(order.status)) news.want(known.events_url);
  }
  remember();
}

async function main() {
  showCards();
  const catalogue = await (await fetch("catalog.json")).json();
  catalogue.forEach(addToShelf);
  lookAtShelf();
  await recall();
  poll();
}

main();
