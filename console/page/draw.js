// What is on the page. Text from outside (titles, reasons) goes in as text and never as markup.

import { age, rate, count } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 150;
const GAP_MS = 35000; // points further apart are not joined: nothing was seen in between

export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Changes a node's text only if it differs, so that a selection lasts. */
function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** A section of the runbook, which may break between its words, and is copied without a break. */
function sayName(where, name) {
  const text = name === "" ? "" : `Runbook: ${name}`;
  if (where.textContent === text) return;
  where.replaceChildren(...(text === "" ? [] : text.split(/(?=[A-Z])/).flatMap((word) => [node("wbr"), word])));
}

/** No number stands at the end of a line without its unit. */
const whole = (text) => text.replaceAll(/(\d) (?=(?:ms|s|min|h|days)\b)/g, "$1\u00a0");

/** Makes the children of `list` those of `rows`, each told by its key, kept where it was there before. */
function keep(list, rows, keyOf, make, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  rows.forEach((row, place) => {
    const key = String(keyOf(row));
    const child = old.get(key) ?? make(row);
    old.delete(key);
    child.dataset.key = key;
    update(child, row);
    if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
  });
  for (const child of old.values()) child.remove();
}

/** Where the page tells more of each question. */
const PLACES = { "Are we selling?": "#shards-title", "Are buyers waiting?": "#busy-title", "Why is it slow?": "#shards-title", "Which item is hot?": "#hot-title",
  "Is money stuck?": "#money-title", "Is the API up?": "#daemons-title" };
const WORDS = { good: "good", idle: "quiet", look: "look", act: "act" };

export function drawAnswers(list, answers) {
  keep(list, answers, (one) => one.question,
    (one) => node("li", { class: "card answer" }, node("h2", {}, node("a", { href: PLACES[one.question] }, one.question)),
      node("span", { class: "badge" }), node("p", { class: "short" }), node("p", { class: "soft more" }), node("p", { class: "soft runbook" })),
    (child, one) => {
      const [, badge, short, more, runbook] = child.children;
      child.dataset.state = one.state;
      say(badge, WORDS[one.state]);
      say(short, one.short);
      say(more, whole(one.more));
      sayName(runbook, one.runbook);
    });
}

export function drawShards(list, shards, judge) {
  keep(list, shards, (shard) => shard.shard,
    (shard) => node("li", { class: "shard" }, node("p", { class: "number" }, node("b", {}, String(shard.shard)), node("span")),
      node("p", { class: "owner" }), node("p", { class: "facts" })),
    (child, shard) => {
      const [state, word] = judge(shard);
      const [head, owner, facts] = child.children;
      child.dataset.state = state;
      say(head.lastChild, word);
      say(owner, shard.owner ?? "no owner");
      say(facts, whole(`line\u00a0${count(shard.waiting)}${shard.waiting > 0 ? `, first\u00a0${age(shard.waiting_ms)}` : ""} · pay\u00a0${count(shard.open_payments)}${
        shard.payment_ms > 0 ? `, first\u00a0${age(shard.payment_ms)}` : ""} · ${rate(shard.decided_per_second)}/s`));
      child.title = shard.payments_stopped ?? "";
    });
}

const rowOf = new WeakMap();

function cell([heading, , kind, press]) {
  if (!press) return node("td", { "data-label": heading, class: kind ?? null }, node("span"));
  const button = node("button", { type: "button", class: "plain small" });
  button.addEventListener("click", () => press(rowOf.get(button.closest("tr"))));
  return node("td", { class: kind ?? null }, button);
}

/** columns: [heading, row → text, "number", "wide" (a line of its own on a phone) or nothing,
 * row → what a press does, where the text is a button]; `state`: row → a state. */
export function drawTable(where, { label, columns, rows, key, empty, state }) {
  if (rows.length === 0) {
    where.replaceChildren(node("p", { class: "soft" }, empty));
    return;
  }
  if (where.firstElementChild?.tagName !== "TABLE") {
    const heads = columns.map(([heading, , kind]) => node("th", { scope: "col", class: kind ?? null }, heading));
    where.replaceChildren(node("table", { "aria-label": label }, node("thead", {}, node("tr", {}, ...heads)), node("tbody")));
  }
  keep(where.querySelector("tbody"), rows, key,
    () => node("tr", {}, ...columns.map(cell)),
    (child, row) => {
      columns.forEach(([, text], place) => say(child.children[place].firstChild, String(text(row) ?? "–")));
      child.dataset.state = state(row);
      rowOf.set(child, row);
    });
}

// ---- the last hour ----

function path(points, value, from, until, most) {
  let line = "";
  let before = null;
  for (const point of points) {
    const y = value(point);
    if (y === null || y === undefined) {
      before = null;
      continue;
    }
    const joined = before !== null && point.time - before <= GAP_MS;
    const x = ((point.time - from) / (until - from)) * WIDTH;
    const spot = `${x.toFixed(1)} ${(HEIGHT - (y / most) * (HEIGHT - 8) - 2).toFixed(1)}`;
    line += joined ? `L${spot}` : `M${spot}h.1`;
    before = point.time;
  }
  return line;
}

function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number);
}

/** lines: [name, point → number, class]; `text` writes a number; `least`: the smallest height of the picture. */
export function drawChart(figure, { title, points, from, until, lines, text, least }) {
  if (figure.firstElementChild === null) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" })) svg.setAttribute(name, value);
    for (const [, , style] of lines) {
      const drawn = document.createElementNS(SVG, "path");
      drawn.setAttribute("class", style);
      svg.append(drawn);
    }
    const legend = node("p", { class: "legend" }, ...lines.map(([name, , style]) => node("span", { class: style }, `${name} `, node("b"))));
    figure.append(node("figcaption", {}, node("h2", {}, title), legend), node("p", { class: "scale" }), svg,
      node("p", { class: "times" }, node("span"), node("span", {}, "now")));
  }
  const [caption, scale, svg, times] = figure.children;
  const most = nice(Math.max(least, ...points.flatMap((point) => lines.map(([, value]) => value(point) ?? 0))));
  const newest = points.at(-1);
  lines.forEach(([, value], place) => {
    svg.children[place].setAttribute("d", path(points, value, from, until, most));
    say(caption.lastChild.children[place].lastChild, newest ? text(value(newest)) : "–");
  });
  svg.setAttribute("aria-label", `${title}: ${lines.map(([name, value]) => `${name} ${newest ? text(value(newest)) : "unknown"}`).join(", ")}`);
  say(scale, text(most));
  say(times.firstChild, `${Math.round((until - from) / 60000)} min ago`);
}
