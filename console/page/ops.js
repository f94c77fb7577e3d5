// The operators' page: asks how the shop stands, over and over, and says when it does not know.

import { allow, forbid, mayChange, openChange } from "./act.js";
import { drawAnswers, drawChart, drawShards, drawTable } from "./draw.js";
import { judge, judgeShard } from "./judge.js";
import { age, clock, count, many, money, rate } from "./words.js";

const EVERY_MS = 1500;
const HIDDEN_MS = 10000; // while nobody looks
const ANSWER_MS = 8000; // then an answer is given up
const HISTORY_MS = 10000;
const STALE_MS = 6000;
const HOUR_MS = 3600000;
const SHORTEST_MS = 300000; // of the time that is drawn
const TITLE = document.title;
const ORDER_KINDS = ["refund", "cancel", "resolve", "returned"];

const $ = (id) => document.getElementById(id);

let token = null; // in memory alone
let visit = 0; // answers to an earlier token are not shown
let seenAt = 0; // when the newest answer came, by performance.now()
let trouble = "";
let points = [];
let historyAt = -HISTORY_MS;
let newest = null;

class Refused extends Error {}

/** The words of the token's scope; of something that is no token, none. */
function scopes(text) {
  try {
    const body = text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return String(JSON.parse(atob(body)).scope).split(" ");
  } catch {
    return [];
  }
}

/** A call of the shop's API: its status and its answer. */
async function call(method, path, body, key) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) Object.assign(headers, { "Content-Type": "application/json", "Idempotency-Key": key });
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "omit",
    cache: "no-store", redirect: "error", signal: AbortSignal.timeout(ANSWER_MS) });
  return [answer.status, await answer.json()];
}

async function ask(path) {
  const answer = await fetch(path, {
    headers: { Authorization: `Bearer ${token}` }, credentials: "omit", cache: "no-store", redirect: "error",
    signal: AbortSignal.timeout(ANSWER_MS) });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  const text = problem.detail ?? problem.title ?? `the answer is ${answer.status}`;
  throw answer.status === 401 || answer.status === 403 ? new Refused(text) : new Error(text);
}

// ---- drawing ----

const dot = (row) => (row.dead ? "act" : row.ready ? "good" : "look");
const left = (row) => Math.max(0, row.stock - row.held - row.sold);
const sale = (row) => (row.paused ? "paused" : left(row) > 0 ? "on sale" : row.held > 0 ? "all held" : "sold out");

function showItems({ hot_items: hot, busy_items: busy }) {
  const name = [["Item", (row) => (row.title === row.sku ? row.sku : `${row.title}\n${row.sku}`), "wide"]]; // on two lines
  const state = (row) => (row.paused ? "look" : "idle");
  const kinds = (row) => mayChange([row.paused ? "resume" : "pause", "restock"]);
  const change = mayChange(["pause"]).length > 0 ? [["Change", () => "Change…", "wide", (row) => openChange("item", row.sku, kinds(row))]] : [];
  drawTable($("hot"), { label: "Hottest items", rows: hot, key: (row) => row.sku, empty: "No orders in the last 10 s.", state,
    columns: [...name, ["Orders/s", (row) => rate(row.orders_per_second), "number"], ["Left", (row) => count(left(row)), "number"],
      ["Held", (row) => count(row.held), "number"], ["Line", (row) => count(row.waiting), "number"],
      ["State", sale], ...change] });
  drawTable($("busy"), { label: "Items with the oldest work", rows: busy, key: (row) => row.sku, empty: "No item has a line or an open payment.", state,
    columns: [...name, ["Oldest", (row) => age(row.oldest_ms), "number"], ["Line", (row) => count(row.waiting), "number"],
      ["Held", (row) => count(row.held), "number"], ["Left", (row) => count(left(row)), "number"],
      ["State", sale], ...change] });
}

/** What may be done about money that is unclear: a charge waits for word of the gateway, a refund can be tried again. */
const REMEDIES = { charge: ["resolve"], refund: [], "refund later": ["refund"], "refund failed": ["refund", "returned"] };
const remedies = (row) => mayChange(REMEDIES[row.what] ?? []);

function showMoney({ unclear }) {
  const remedy = mayChange(["resolve", "refund"]).length > 0 ? [["Change", (row) => (remedies(row).length > 0 ? "Change…" : ""), "wide",
    (row) => openChange("order", row.order_id, remedies(row), `${money(row.amount, row.currency)} for ${row.sku}`, row.attempt)]] : [];
  drawTable($("money"), { label: "Unclear money", rows: unclear, key: (row) => `${row.order_id} ${row.attempt} ${row.what}`,
    empty: "None: the gateway has answered for every charge and refund.", state: (row) => (row.what === "refund failed" ? "act" : "look"),
    columns: [["What", (row) => row.what], ["Amount", (row) => money(row.amount, row.currency), "number"],
      ["For", (row) => age(row.unclear_seconds * 1000), "number"], ["Item", (row) => row.sku, "wide"], ["Code", (row) => row.code, "wide"],
      ["Order", (row) => row.order_id, "wide"], ...remedy] });
}

function showJobs({ set_aside: aside, dropped_jobs: dropped, dead_letters: dead }) {
  const rows = [];
  if (dead > 0) rows.push({ what: "Dead letters", number: dead, more: "messages that no consumer could read: checkoutctl dead list, dead show" });
  const replay = mayChange(["replay"]).length > 0 ? [["Change", (row) => (row.what === "Dead letters" ? "Replay…" : ""), "wide", () => openChange("letters", "", ["replay"])]] : [];
  if (aside.items > 0 || aside.jobs > 0)
    rows.push({ what: "Set aside", number: aside.jobs, more: `of ${many(aside.items, "item")} that cannot be decided now, for ${age(aside.oldest_ms)}` });
  if (dropped.jobs > 0)
    rows.push({ what: "Dropped by RabbitMQ", number: dropped.jobs, more: `in 24 h (${dropped.causes}); ${count(dropped.pending)} not ended yet` });
  drawTable($("jobs"), { label: "Jobs that cannot be decided", rows, key: (row) => row.what, state: () => "look",
    empty: dead === null ? "None is set aside or was dropped. Dead letters: no producer says whether there are any." : "None is set aside, was dropped, or is a dead letter.",
    columns: [["What", (row) => row.what], ["Number", (row) => count(row.number), "number"], ["Why", (row) => row.more, "wide"], ...replay] });
}

function showDaemons({ daemons: all }) {
  const ill = (row) => (row.dead ? 2 : row.ready ? 0 : 1);
  const daemons = [...all].sort((one, other) => ill(other) - ill(one));
  drawTable($("daemons"), { label: "Daemons", rows: daemons, key: (row) => `${row.program} ${row.host} ${row.place}`,
    empty: "None has a heartbeat.", state: dot,
    columns: [["Program", (row) => row.program], ["State", (row) => (row.dead ? "dead" : row.ready ? "ready" : "not ready")],
      ["Heartbeat", (row) => `${age(row.heartbeat_age_ms)} ago`, "number"], ["Host", (row) => row.host, "wide"], ["Place", (row) => row.place, "wide"],
      ["Version", (row) => row.version], ["Sockets", (row) => (row.sockets === null ? "–" : count(row.sockets)), "number"],
      ["What it says", (row) => row.not_ready ?? "", "wide"]] });
}

function showChanges({ now, changes }) {
  const state = { pending: "look", done: "idle", refused: "act" };
  const old = (row) => Date.parse(now.at) - Date.parse(row.at);
  drawTable($("changes"), { label: "What people changed", rows: changes, key: (row) => `${row.at} ${row.kind} ${row.sku} ${row.order_id}`,
    empty: "No change is on record.", state: (row) => state[row.state],
    columns: [["What", (row) => [row.kind, row.wish].filter(Boolean).join(" "), "wide"], ["When", (row) => `${clock(row.at)}\n${age(old(row))} ago`, "wide"],
      ["Who", (row) => row.requested_by.replace(":", ":\n"), "wide"], ["Of", (row) => row.order_id ?? row.sku ?? (row.kind === "replay" ? "dead letters" : `shard ${row.shard}`), "wide"],
      ["Why", (row) => row.note ?? "", "wide"], ["Result", (row) => (row.state === "pending" ? "waits for a consumer" : row.result), "wide"]] });
}

function showHour() {
  const until = newest === null ? Date.now() : Date.parse(newest.now.at);
  const first = points.length > 0 ? points[0].time : until;
  const from = Math.max(until - HOUR_MS, Math.min(first, until - SHORTEST_MS));
  const seen = newest === null ? points : [...points.filter((one) => one.time < until), point(newest.now)];
  const shown = { points: seen.filter((one) => one.time >= from), from, until };
  drawChart($("rates"), { ...shown, title: "Orders a second", text: rate, least: 1, lines: [
    ["accepted", (one) => one.accepted_per_second, "one"], ["sold", (one) => one.confirmed_per_second, "two"],
    ["refused", (one) => one.refused_per_second, "three"]] });
  drawChart($("delays"), { ...shown, title: "How long it takes", text: age, least: 1000, lines: [
    ["decision", (one) => one.decision_p95_ms, "one"], ["sale", (one) => one.sale_p95_ms, "two"],
    ["oldest payment", (one) => one.payment_ms, "three"]] });
  drawChart($("queues"), { ...shown, title: "Orders that wait", text: count, least: 10, lines: [
    ["in line", (one) => one.waiting, "one"], ["being paid", (one) => one.open_payments, "two"]] });
}

/** In the tab's name, too: how many answers are red. */
function showAnswers(overview) {
  const answers = judge(overview);
  const red = answers.filter((one) => one.state === "act").length;
  const title = `${red > 0 ? `(${red}) ` : ""}${TITLE}`;
  if (document.title !== title) document.title = title;
  drawAnswers($("answers"), answers);
}

function show(overview) {
  showAnswers(overview);
  const { shards } = overview;
  $("shards-sum").textContent = `${count(shards.length)}, ${count(shards.filter((shard) => shard.served).length)} served`;
  drawShards($("shards"), shards, judgeShard);
  showItems(overview);
  showMoney(overview);
  showJobs(overview);
  showDaemons(overview);
  showChanges(overview);
}

/** How old what is shown is; more often than answers come, so that silence shows, too. */
function showAge() {
  if (token === null || seenAt === 0) return;
  const old = performance.now() - seenAt;
  const stale = old > STALE_MS;
  $("pill").dataset.state = stale ? "stale" : "live";
  $("age").textContent = stale ? `${age(old)} old` : "live";
  $("shop").classList.toggle("old", stale);
  $("stale").hidden = !stale;
  const text = `What you see is ${age(old)} old. ${trouble === "" ? "The console does not answer." : `The console: ${trouble}.`}`;
  if (stale && $("stale").textContent !== text) $("stale").textContent = text;
}

// ---- asking ----

function point(row) {
  return { ...row, time: Date.parse(row.at) };
}

async function askHistory(mine) {
  if (performance.now() - historyAt < HISTORY_MS) return;
  const history = await ask("/v1/ops/history");
  if (mine !== visit) return;
  historyAt = performance.now();
  points = history.points.map(point);
}

async function look(mine) {
  const overview = await ask("/v1/ops/overview");
  await askHistory(mine);
  if (mine !== visit) return;
  newest = overview;
  seenAt = performance.now();
  trouble = "";
  $("enter").hidden = true;
  $("shop").hidden = false;
  $("leave").hidden = false;
  $("change-order").hidden = mayChange(ORDER_KINDS).length === 0;
  show(overview);
  showHour();
}

async function follow(mine) {
  let failures = 0;
  while (mine === visit) {
    try {
      await look(mine);
      failures = 0;
    } catch (error) {
      if (mine !== visit) return;
      if (error instanceof Refused) {
        leave(error.message);
        return;
      }
      failures += 1;
      trouble = error.name === "TimeoutError" ? "no answer in time" : error.message;
      if (newest === null) $("age").textContent = trouble;
    }
    showAge();
    const wait = document.hidden ? HIDDEN_MS : Math.min(HIDDEN_MS, EVERY_MS * 2 ** Math.min(failures, 3));
    await new Promise((done) => { setTimeout(done, wait); });
  }
}

function leave(why) {
  visit += 1;
  token = newest = null;
  forbid();
  for (const name of ["hot", "busy", "money", "jobs"]) $(name).replaceChildren();
  points = [];
  seenAt = 0;
  historyAt = -HISTORY_MS;
  $("shop").hidden = true;
  $("leave").hidden = true;
  $("change-order").hidden = true;
  $("enter").hidden = false;
  $("pill").dataset.state = "off";
  $("age").textContent = "no token yet";
  document.title = TITLE;
  $("refused").hidden = why === "";
  $("refused").textContent = why;
  $("token").focus();
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  allow(call, scopes(token));
  $("refused").hidden = true;
  $("age").textContent = "asking…";
  visit += 1;
  follow(visit);
});
$("leave").addEventListener("click", () => leave(""));
$("change-order").addEventListener("click", () => openChange("order", "", mayChange(ORDER_KINDS)));
setInterval(showAge, 1000);
