// What an operator may change: asked for in a dialog, with a reason, said back before it is done, and sent with one key for
// all tries. What became of it stands in the table of changes.

import { node } from "./draw.js";
import { count } from "./words.js";

const $ = (id) => document.getElementById(id);

const OUTCOMES = {
  captured: "You saw that the money was taken: the order is confirmed, unless the gateway says otherwise now.",
  "not-captured": "You saw that no money was taken: it is cancelled at the gateway first, then the unit goes to the next buyer.",
  release: "The order fails at once, and its unit goes on. Money that is taken late goes back to the buyer.",
};
const KINDS = {
  pause: { of: "item", word: "Pause", more: "Orders for it join its line, and no more are sold until it is resumed." },
  resume: { of: "item", word: "Resume", more: "Its line moves again." },
  restock: { of: "item", word: "Change the stock of", more: "" },
  refund: { of: "order", word: "Refund", more: "All its money goes back to the buyer, and that cannot be undone." },
  cancel: { of: "order", word: "Cancel", more: "It is cancelled if it waits or is being paid, and that cannot be undone." },
  replay: { of: "letters", word: "Replay", scope: "operator",
    more: "Jobs that a consumer can read now are decided, each once; orders that are decided stay as they are. Letters that cannot be read stay." },
  resolve: { of: "order", word: "Resolve the payment of", more: "", scope: "operator" },
  returned: { of: "order", word: "Close the failed refund of", call: "resolve", scope: "operator",
    more: "You returned the money outside of the gateway: the refund is not tried again, and no alarm rings for it." },
};

let send = null; // (method, path, body, key) → [status, answer]
let scopes = []; // of the token; the console decides, not this
let asked = null; // what the dialog is about: { of, name, about, attempt, kind, body, key }
let lost = null; // what was sent last and not answered: whoever asks for the same again gets its key, so it has no second effect

/** A word that no other change has. crypto.randomUUID is not there over plain HTTP. */
function newKey() {
  return `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const scopeOf = (kind) => KINDS[kind].scope ?? "shop";

function pathOf({ of, name, kind }) {
  if (of === "letters") return `/v1/ops/dead-letters/${kind}`;
  return `/v1/${scopeOf(kind) === "operator" ? "ops" : "shop"}/${of}s/${encodeURIComponent(name)}/${KINDS[kind].call ?? kind}`;
}

/** Those of these kinds that the token allows. */
export function mayChange(kinds) {
  return kinds.filter((kind) => scopes.includes(scopeOf(kind)));
}

function step(name) {
  for (const part of $("change").querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== name;
}

function fit() {
  const kind = $("kind").value;
  $("units-line").hidden = kind !== "restock";
  $("units").required = kind === "restock";
  $("back-line").hidden = kind !== "refund";
  $("outcome-line").hidden = kind !== "resolve";
  $("outcome").required = kind === "resolve";
}

/** Asks what to do with an item (`name`: its sku) or an order (its id, or "" to be asked for); `about`: what is known of it,
 * `attempt`: which of its payments it is about. */
export function openChange(of, name, kinds, about = "", attempt = undefined) {
  const [title, them] = { item: [`Change ${name}`, "it"], order: ["Change an order", "the order"], letters: ["Dead letters", "all of them"] }[of];
  asked = { of, name: of === "letters" ? "all dead letters" : name, about, attempt };
  $("change-title").textContent = title;
  $("kind").replaceChildren(...kinds.map((kind) => node("option", { value: kind }, `${KINDS[kind].word} ${them}`)));
  $("order-line").hidden = of !== "order";
  $("order").required = of === "order";
  $("order").value = of === "order" ? name : "";
  $("units").value = "";
  $("back").checked = false;
  $("outcome").value = "";
  $("reason").value = "";
  fit();
  step("ask");
  $("change").showModal();
}

function sentence({ name, about, kind, body }) {
  const { word, more } = KINDS[kind];
  const units = body.units === undefined ? "" : ` by ${body.units > 0 ? "+" : ""}${count(body.units)}`;
  const back = body.restock ? " Its units go back on sale." : "";
  return `${word} ${name}${about === "" ? "" : ` (${about})`}${units}? ${more}${back}${OUTCOMES[body.outcome] ?? ""}`;
}

function confirm() {
  const kind = $("kind").value;
  const body = { note: $("reason").value.trim() };
  if (kind === "restock") body.units = Number($("units").value);
  if (kind === "refund" && $("back").checked) body.restock = true;
  if (kind === "resolve") body.outcome = $("outcome").value;
  asked = { ...asked, kind, body };
  if (asked.of === "order" && asked.name !== $("order").value.trim()) Object.assign(asked, { name: $("order").value.trim(), about: "", attempt: undefined });
  if (kind === "returned") Object.assign(body, { outcome: "refunded" }, asked.attempt === undefined ? {} : { payment: asked.attempt });
  asked.key = lost !== null && sentence(lost) === sentence(asked) && lost.body.note === body.note ? lost.key : newKey();
  $("sentence").textContent = sentence(asked);
  $("because").textContent = `Because: ${body.note}`;
  $("do").textContent = "Do it";
  $("do").disabled = false;
  step("confirm");
  $("do").focus();
}

const LOST = "No answer: it is not known whether this was recorded.";

/** What an answer means: [text, state]. */
function judged(status, answer) {
  if (status === 0 || status === 503) return [LOST, "act"];
  if (status === 202) return ["Recorded. It is done as soon as a consumer serves the item.", "look"];
  if (status === 200) return [answer.result ?? "Done.", "good"];
  return [`Not done: ${answer.errors?.[0]?.detail ?? answer.detail ?? answer.title ?? status}`, "act"];
}

async function act() {
  const change = asked;
  $("do").disabled = true;
  $("do").textContent = "Asking…";
  const [status, answer] = await send("POST", pathOf(change), change.body, change.key).catch(() => [0, {}]);
  const [text, state] = judged(status, answer);
  lost = text === LOST ? change : null;
  if (change !== asked) return; // the dialog was left meanwhile
  if (lost !== null) {
    $("because").textContent = `${LOST} Trying again is safe, and has no second effect.`;
    $("do").textContent = "Try again";
    $("do").disabled = false;
    return;
  }
  $("result").textContent = text;
  $("result").dataset.state = state;
  step("result");
  $("close").focus();
}

/** From here on changes are sent by `ask`, which gives a call's status and its answer, and fails without one. */
export function allow(ask, words) {
  send = ask;
  scopes = words;
}

/** Nothing of what was asked for stays. */
export function forbid() {
  scopes = [];
  lost = null;
  $("change").close();
}

$("kind").addEventListener("change", fit);
$("ask").addEventListener("submit", (event) => { event.preventDefault(); confirm(); });
$("do").addEventListener("click", act);
$("again").addEventListener("click", () => step("ask"));
for (const button of $("change").querySelectorAll(".shut")) button.addEventListener("click", () => $("change").close());
$("change").addEventListener("close", () => { asked = null; });
