// What an operator may change: asked for in a dialog, with a reason, said back before it is done, and sent with one key for all tries.

import { node } from "./draw.js";
import { count } from "./words.js";

const $ = (id) => document.getElementById(id);
const AGAIN_MS = 2000;

const KINDS = {
  pause: { of: "item", word: "Pause", more: "Orders for it join its line, and no more are sold until it is resumed." },
  resume: { of: "item", word: "Resume", more: "Its line moves again." },
  restock: { of: "item", word: "Change the stock of", more: "" },
  refund: { of: "order", word: "Refund", more: "All its money goes back to the buyer, and that cannot be undone." },
  cancel: { of: "order", word: "Cancel", more: "It is cancelled if it waits or is being paid, and that cannot be undone." },
};

let send = null; // (method, path, body, key) → [status, answer]
let asked = null; // what the dialog is about: { of, name, kind, body, key }

/** A word that no other change has. crypto.randomUUID is not there over plain HTTP. */
function newKey() {
  return `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function pathOf({ of, name, kind }) {
  return `/v1/shop/${of}s/${encodeURIComponent(name)}/${kind}`;
}

function step(name) {
  for (const part of $("change").querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== name;
}

function fit() {
  const kind = $("kind").value;
  $("units-line").hidden = kind !== "restock";
  $("units").required = kind === "restock";
  $("back-line").hidden = kind !== "refund";
}

/** Asks what to do with an item (`name`: its sku) or an order (its id, or "" to be asked for). */
export function openChange(of, name, kinds) {
  asked = { of, name };
  $("change-title").textContent = of === "item" ? `Change ${name}` : "Change an order";
  $("kind").replaceChildren(...kinds.map((kind) => node("option", { value: kind }, `${KINDS[kind].word} ${of === "item" ? "it" : "the order"}`)));
  $("order-line").hidden = of === "item";
  $("order").required = of === "order";
  $("order").value = of === "order" ? name : "";
  $("units").value = "";
  $("back").checked = false;
  $("reason").value = "";
  fit();
  step("ask");
  $("change").showModal();
}

function sentence({ name, kind, body }) {
  const { word, more } = KINDS[kind];
  const units = body.units === undefined ? "" : ` by ${body.units > 0 ? "+" : ""}${count(body.units)}`;
  const back = body.restock ? " Its units go back on sale." : "";
  return `${word} ${name}${units}? ${more}${back}`;
}

function confirm() {
  const kind = $("kind").value;
  const body = { note: $("reason").value.trim() };
  if (kind === "restock") body.units = Number($("units").value);
  if (kind === "refund" && $("back").checked) body.restock = true;
  if (asked.of === "order") asked.name = $("order").value.trim();
  asked = { ...asked, kind, body, key: newKey() };
  $("sentence").textContent = sentence(asked);
  $("because").textContent = `Because: ${body.note}`;
  $("do").textContent = "Do it";
  $("do").disabled = false;
  step("confirm");
  $("do").focus();
}

function note(change, text, state) {
  $("done").hidden = false;
  const row = node("li", { "data-state": state }, node("b", {}, `${change.kind} ${change.name}`), node("span", {}, text));
  $("done-list").prepend(row);
  return row;
}

/** Until a command that was only recorded has ended. */
async function follow(location, row) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, AGAIN_MS); });
    const [status, answer] = await send("GET", location).catch(() => [0, {}]);
    if (status === 401 || status === 403 || status === 404) return;
    if (status !== 200 || answer.state === "pending") continue;
    row.dataset.state = answer.state === "done" ? "good" : "act";
    row.lastChild.textContent = answer.result ?? answer.state;
    return;
  }
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
  const shown = change === asked; // else the dialog was left meanwhile
  if (shown && text === LOST) { // perhaps it was recorded: the same key makes another try safe
    $("because").textContent = `${LOST} Trying again is safe, and has no second effect.`;
    $("do").textContent = "Try again";
    $("do").disabled = false;
    return;
  }
  const row = note(change, text, state);
  if (status === 202) follow(`/v1/shop/commands/${answer.id}`, row);
  if (!shown) return;
  $("result").textContent = text;
  $("result").dataset.state = state;
  step("result");
  $("close").focus();
}

/** `ask`: sends a call with the token, and gives its status and its answer; fails without one. */
export function mayChange(ask) {
  send = ask;
  $("kind").addEventListener("change", fit);
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); confirm(); });
  $("do").addEventListener("click", act);
  $("again").addEventListener("click", () => step("ask"));
  for (const button of $("change").querySelectorAll(".shut")) button.addEventListener("click", () => $("change").close());
  $("change").addEventListener("close", () => { asked = null; });
}

/** Nothing of what was asked for stays. */
export function forgetChanges() {
  $("change").close();
  $("done").hidden = true;
  $("done-list").replaceChildren();
}
