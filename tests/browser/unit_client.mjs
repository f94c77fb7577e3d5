// The client's parts alone, under node: no browser, no server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Events } from "../../deploy/web/checkout/events.js";
import { Api, OtherLogin, retryAfter } from "../../deploy/web/checkout/http.js";
import { minorDigits, money } from "../../deploy/web/checkout/money.js";
import { Book } from "../../deploy/web/checkout/book.js";
import { greater, learn } from "../../deploy/web/checkout/orders.js";
import { Sender } from "../../deploy/web/checkout/sender.js";
import { Session } from "../../deploy/web/checkout/session.js";
import { Wishes, newKey } from "../../deploy/web/checkout/wishes.js";
import { FakeSocket, Memory, answer, body, newest, tick, token, wish } from "./lib/fakes.mjs";

const DAY = 24 * 3600 * 1000;
// ---- money ----

test("amounts have the gateway's decimals, and are written as people do", () => {
  assert.deepEqual(["usd", "HUF", "isk", "ugx", "idr", "jpy", "krw", "kwd", "tnd"].map(minorDigits), [2, 2, 2, 2, 2, 0, 0, 3, 3]);
  const said = (amount, currency) => money(amount, currency, "en").replace(/\s/g, " ");
  assert.equal(said(15000, "usd"), "$150.00");
  assert.equal(said(100000, "huf"), "HUF 1,000");
  assert.equal(said(100050, "huf"), "HUF 1,000.50");
  assert.equal(said(1500, "jpy"), "¥1,500");
  assert.equal(said(12345, "kwd"), "KWD 12.345");
  assert.equal(said(99999999999, "usd"), "$999,999,999.99");
  assert.equal(said(0, "idr"), "IDR 0");
});

// ---- wishes ----

test("a wish is found by its own login only, oldest first", () => {
  const wishes = new Wishes(new Memory(), () => 1000000);
  const [second, first, other] = [wish({ at: 900000 }), wish({ at: 800000 }), wish({ sub: "bob" })];
  for (const one of [second, first, other]) assert.equal(wishes.save(one), true);
  assert.deepEqual(wishes.of("ann").map((one) => one.key), [first.key, second.key]);
  assert.deepEqual(wishes.of("bob").map((one) => one.key), [other.key]);
});

test("an answered wish keeps neither card nor e-mail", () => {
  const storage = new Memory();
  const wishes = new Wishes(storage, () => 1000000);
  const one = wish();
  wishes.save(one);
  wishes.accepted(one, "order-1");
  assert.equal([...storage.map.values()].some((text) => /pm_1|example\.org/.test(text)), false);
  assert.equal(wishes.of("ann")[0].id, "order-1");
});

test("an answered wish that cannot be rewritten leaves nothing of the card", () => {
  const storage = new Memory(1);
  const wishes = new Wishes(storage, () => 1000000);
  const one = wish();
  wishes.save(one);
  wishes.accepted(one, "order-1");
  assert.equal(storage.length, 0);
});

test("a wish is fresh for two minutes, asked about until a day is over, and then gone, whosesoever it is", () => {
  let now = 1000000;
  const storage = new Memory();
  const wishes = new Wishes(storage, () => now);
  const one = wish();
  wishes.save(one);
  wishes.save(wish({ sub: "bob" }));
  const fresh = (ms) => { now = 1000000 + ms; return wishes.fresh(one); };
  assert.deepEqual([0, 119000, 121000, DAY + 1].map(fresh), [true, true, false, false]);
  assert.equal(fresh(-3600000), false); // a clock that went back cannot judge it
  now = 1000000 + 600000;
  one.sure = now;
  assert.equal(wishes.fresh(one), true);
  now = 1000000 + DAY + 1;
  assert.equal(wishes.fresh({ ...one, sure: now }), false);
  assert.deepEqual(wishes.of("ann"), []);
  assert.equal(storage.length, 0);
});

test("what is no wish is removed, and other entries of the page are left alone", () => {
  const storage = new Memory();
  storage.setItem("checkout:wish:a", "no json");
  storage.setItem("checkout:wish:b", JSON.stringify(wish())); // under another name than its key
  storage.setItem("checkout:wish:c", JSON.stringify({ key: "c", sub: "ann", sku: "dress", at: "soon" }));
  storage.setItem("theme", "dark");
  assert.deepEqual(new Wishes(storage, () => 1000000).of("ann"), []);
  assert.deepEqual([...storage.map.keys()], ["theme"]);
});

test("storage that is absent, full or forbidden is said to be so", () => {
  const forbidden = { get length() { throw new Error("no"); }, setItem() { throw new Error("no"); }, removeItem() { throw new Error("no"); } };
  for (const storage of [null, new Memory(0), forbidden]) {
    const wishes = new Wishes(storage, Date.now);
    assert.equal(wishes.durable(), false);
    assert.equal(wishes.save(wish()), false);
    assert.deepEqual(wishes.of("ann"), []);
    wishes.remove("x");
  }
  assert.equal(new Wishes(new Memory(), Date.now).durable(), true);
});

test("keys are random and visible ASCII", () => {
  const keys = new Set(Array.from({ length: 1000 }, newKey));
  assert.equal(keys.size, 1000);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
});

// ---- signing in ----

test("one sign-in at a time, however many calls need it", async () => {
  let asked = 0;
  const session = new Session(async () => { asked += 1; await tick(); return { token: token({ sub: `ann-${asked}`, iat: 0, exp: 3600 }) }; }, Date.now);
  const logins = await Promise.all(Array.from({ length: 5 }, () => session.get()));
  assert.equal(asked, 1);
  assert.equal(new Set(logins.map((login) => login.sub)).size, 1);
  await session.get();
  assert.equal(asked, 1);
});

test("a token is renewed a minute before its end by its own span, whatever the browser's clock says", async () => {
  let now = 5e12;
  let asked = 0;
  const session = new Session(async () => { asked += 1; return { token: token({ sub: "ann", iat: 1000, exp: 1600 }) }; }, () => now);
  await session.get();
  now += 539000;
  await session.get();
  assert.equal(asked, 1);
  now += 2000;
  await session.get();
  assert.equal(asked, 2);
});

test("a sign-in that fails is tried again by the next call; a token without sub is refused", async () => {
  const answers = [Promise.reject(new Error("away")), { token: "opaque" }, { token: "opaque", sub: "ann", expires_in: 60 }];
  answers[0].catch(() => {});
  const session = new Session(async () => answers.shift(), Date.now);
  await assert.rejects(session.get(), /away/);
  await assert.rejects(session.get(), /without sub/);
  assert.equal((await session.get()).sub, "ann");
});

test("a sign-in that never ends fails after a while, and is asked for anew", async () => {
  const answers = [new Promise(() => {}), { token: token({ sub: "ann", iat: 0, exp: 60 }) }];
  const session = new Session(() => answers.shift(), Date.now, 10);
  await assert.rejects(session.get(), /too long/);
  assert.equal(session.failing, true);
  assert.equal((await session.get()).sub, "ann");
});

test("a name that is not ASCII is read from the token", async () => {
  const session = new Session(async () => ({ token: token({ sub: "Zoë ☂", iat: 0, exp: 60 }) }), Date.now);
  assert.equal((await session.get()).sub, "Zoë ☂");
});

// ---- calls ----

/** An Api whose fetch gives these answers in turn: a Response, or an Error for none. */
function scripted(...answers) {
  const calls = [];
  const subs = ["ann"];
  const session = new Session(async () => ({ token: token({ sub: subs.length > 1 ? subs.shift() : subs[0], iat: 0, exp: 3600 }) }), Date.now);
  const fetch = async (url, options) => {
    calls.push({ url, ...options });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) throw answer;
    return answer.clone();
  };
  const reached = [];
  const api = new Api({ base: "https://api.example/", session, fetch, now: Date.now, reached: (yes) => reached.push(yes) });
  return { api, calls, subs, session, reached };
}

test("Retry-After is seconds or a date, within a minute", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfter("2", now), 2000);
  assert.equal(retryAfter("86400", now), 60000);
  assert.equal(retryAfter("Thu, 01 Jan 2026 00:00:05 GMT", now), 5000);
  assert.equal(retryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now), 0);
  assert.deepEqual([null, "", "soon"].map((text) => retryAfter(text, now)), [null, null, null]);
});

test("a refused token is renewed once, and no more", async () => {
  const { api, calls } = scripted(answer(401), answer(200, { ok: 1 }));
  assert.equal((await api.as("ann", "GET", "/x")).status, 200);
  assert.equal(calls.length, 2);
  const stubborn = scripted(answer(401));
  assert.equal((await stubborn.api.as("ann", "GET", "/x")).status, 401);
  assert.equal(stubborn.calls.length, 2);
});

test("nothing is sent under another login, not even after a renewal in mid-call", async () => {
  const { api, calls } = scripted(answer(200));
  await assert.rejects(api.as("bob", "POST", "/v1/orders", { body }), OtherLogin);
  assert.equal(calls.length, 0);
  const renewed = scripted(answer(401), answer(202));
  renewed.subs.splice(0, 1, "ann", "bob");
  await assert.rejects(renewed.api.as("ann", "POST", "/v1/orders", { body }), OtherLogin);
  assert.equal(renewed.calls.length, 1);
});

test("an answer that cannot be read is none; one that is no JSON is empty", async () => {
  const cut = new Response(new ReadableStream({ pull(controller) { controller.error(new Error("reset")); } }), { status: 202 });
  cut.clone = () => cut;
  assert.equal((await scripted(cut).api.call("GET", "/x")).status, 0);
  assert.deepEqual((await scripted(new Response("<html>", { status: 502 })).api.call("GET", "/x")).body, {});
});

test("a busy shop was reached; a broken proxy in front of it was not", async () => {
  const { api, reached } = scripted(answer(503, {}, { "Retry-After": "1" }), answer(502), new Error("reset"), answer(404));
  for (let i = 0; i < 4; i += 1) await api.call("POST", "/x");
  assert.deepEqual(reached, [true, false, false, true]);
});

// ---- sending ----

test("a wish is sent under one key until there is a clear answer", async () => {
  const accepted = { id: "order-1", events_url: null };
  const { api, calls } = scripted(new Error("reset"), answer(503, {}, { "Retry-After": "0" }), answer(429, {}, { "Retry-After": "0" }),
    answer(502), answer(403, { error: "log in to this network" }), new Response("<html>", { status: 200 }), answer(202),
    answer(202, accepted));
  const sender = new Sender({ api, fresh: () => true });
  const tries = [];
  const hurry = setInterval(() => sender.hurry(), 5);
  const one = wish();
  assert.deepEqual(await sender.send(one, (problem) => tries.push(problem.status)), { how: "accepted", body: accepted });
  clearInterval(hurry);
  assert.deepEqual(tries, [0, 503, 429, 502, 403, 200, 202]);
  assert.deepEqual(new Set(calls.map((call) => call.headers["Idempotency-Key"])), new Set([one.key]));
  assert.deepEqual(new Set(calls.map((call) => call.body)), new Set([JSON.stringify(body)]));
});

test("it waits as long as Retry-After says", async () => {
  const { api } = scripted(answer(503, {}, { "Retry-After": "1" }), answer(202, { id: "x" }));
  const began = Date.now();
  await new Sender({ api, fresh: () => true }).send(wish(), () => {});
  const took = Date.now() - began;
  assert.ok(took >= 990 && took < 2500, `${took} ms`);
});

test("a clear no ends it, and says whether an earlier attempt may have arrived", async () => {
  const refusal = answer(409, { type: "/problems/sold-out" });
  const first = await new Sender({ api: scripted(refusal).api, fresh: () => true }).send(wish(), () => {});
  assert.deepEqual(first, { how: "refused", problem: { status: 409, type: "/problems/sold-out" }, unheard: false });
  const { api } = scripted(answer(500), refusal);
  const sender = new Sender({ api, fresh: () => true });
  const hurry = setInterval(() => sender.hurry(), 5);
  assert.equal((await sender.send(wish(), () => {})).unheard, true);
  clearInterval(hurry);
});

test("it stops asking by itself when its time is over, and when the page ends", async () => {
  const { api, calls } = scripted(new Error("reset"));
  let fresh = true;
  const sender = new Sender({ api, fresh: () => fresh });
  const outcome = sender.send(wish(), () => { fresh = false; sender.hurry(); });
  const hurry = setInterval(() => sender.hurry(), 5);
  assert.deepEqual(await outcome, { how: "unsure" });
  clearInterval(hurry);
  assert.equal(calls.length, 1);
  fresh = true;
  const stopped = new Sender({ api, fresh: () => true });
  const sending = stopped.send(wish(), () => setTimeout(() => stopped.stop(), 1));
  assert.deepEqual(await sending, { how: "stopped" });
});

// ---- what is known of an order ----

const order = (more = {}) => ({ sku: "dress", quantity: 1, at: 0, status: "queued", sequence: 0, ...more });
const event = (known, news, sequence) => learn(known, news, { sequence, event: true });
const said = (known, news, sequence = null) => learn(known, news, { sequence, event: false });

test("an event counts once, and an older one never", () => {
  const one = order();
  assert.equal(event(one, { status: "waiting", place_in_line: 3 }, 1), true);
  assert.equal(event(one, { status: "reserved" }, 2), true);
  assert.equal(event(one, { status: "waiting", place_in_line: 3 }, 1), false);
  assert.equal(event(one, { status: "reserved", next_action: { type: "redirect_to_url" } }, 2), false);
  assert.equal(one.status, "reserved");
  assert.equal(one.place_in_line, undefined);
});

test("what the bank wants goes with the news that it is over", () => {
  const one = order();
  event(one, { status: "reserved" }, 1);
  event(one, { status: "reserved", next_action: { type: "redirect_to_url", url: "https://bank.example/" } }, 2);
  assert.equal(one.next_action.url, "https://bank.example/");
  assert.equal(said(one, { status: "reserved" }, 1), false); // an answer from before it
  assert.ok(one.next_action);
  said(one, { status: "reserved" }, 2); // asked after the buyer has been there
  assert.equal(one.next_action, undefined);
});

test("an answer without sequence never takes an order back", () => {
  const one = order({ status: "confirmed", sequence: 2 });
  for (const status of ["queued", "waiting", "reserved"]) assert.equal(said(one, { status }), false);
  assert.equal(said(one, { status: "refunded" }), true);
  assert.equal(said(one, { status: "confirmed" }), false);
  assert.equal(one.status, "refunded");
});

test("a place in line never rises, and a status of a later version changes nothing", () => {
  const one = order();
  event(one, { status: "waiting", place_in_line: 4, expires_at: "2026-01-01T00:00:00.000Z" }, 1);
  said(one, { status: "waiting", place_in_line: 2 }, 1);
  said(one, { status: "waiting", place_in_line: 3 }, 1);
  assert.equal(one.place_in_line, 2);
  assert.equal(event(one, { status: "teleported" }, 2), false);
  assert.equal(one.status, "waiting");
});

test("an answer tells how long the wait is, or that the line stands; one that does not know takes nothing away", () => {
  const one = order();
  const until = { expires_at: "2026-01-01T00:15:00.000Z" };
  said(one, { status: "waiting", place_in_line: 4, estimated_wait_s: 90, ...until }, 1);
  assert.equal(one.estimated_wait_s, 90);
  said(one, { status: "waiting", place_in_line: 3, ...until }, 1);
  assert.equal(one.estimated_wait_s, 90);
  said(one, { status: "waiting", place_in_line: 3 }, 1);
  assert.equal(one.estimated_wait_s, undefined);
});

test("a place in line falls while the order waits, and belongs to the event by which it waits", () => {
  const changes = [];
  const book = new Book((order) => changes.push(order.place_in_line));
  const place = (sequence, data) => book.heard({ type: "checkout.order.place.v1", sequence, data: { order_id: "o1", sku: "dress", status: "waiting", ...data } });
  const news = (sequence, data) => book.heard({ type: "checkout.order.waiting.v1", sequence, time: "2026-01-01T00:00:00Z",
    data: { order_id: "o1", sku: "dress", quantity: 1, ...data } });
  assert.equal(place(1, { place_in_line: 9 }), null); // of an order that is not known
  news(1, { status: "waiting", place_in_line: 4 });
  const [one] = book.orders;
  place(1, { place_in_line: 3, expires_at: "2026-01-01T00:15:00.000Z", estimated_wait_s: 40 });
  assert.deepEqual([one.place_in_line, one.expires_at, one.estimated_wait_s], [3, "2026-01-01T00:15:00.000Z", 40]);
  place(1, { place_in_line: 5 }); // its time stands still; and a line only moves up
  assert.deepEqual([one.place_in_line, one.expires_at, one.estimated_wait_s], [3, undefined, undefined]);
  place(2, { place_in_line: 1 });
  place(1, { place_in_line: 2, estimated_wait_s: 20 });
  news(2, { status: "reserved" });
  place(1, { place_in_line: 1 });
  assert.deepEqual([one.status, one.place_in_line, one.estimated_wait_s], ["reserved", undefined, undefined]);
  assert.deepEqual(changes, [undefined, 4, 3, 3, 2, undefined]);
});

test("event ids are compared as numbers of any length", () => {
  assert.equal(greater("9", "10"), "10");
  assert.equal(greater("9007199254740993", "9007199254740992"), "9007199254740993");
});

// ---- the socket ----

function listening() {
  FakeSocket.all = [];
  const states = [];
  const heard = [];
  let tickets = 0;
  const events = new Events({ open: (url) => new FakeSocket(url), url: async () => `wss://x/?ticket=${++tickets}`,
    heard: (one) => heard.push(one.id), state: (state) => states.push(state) });
  return { events, states, heard };
}


test("one socket, with the ticket of the answer, however often it is wanted", () => {
  const { events, states } = listening();
  events.want("wss://x/?ticket=a");
  events.want("wss://x/?ticket=b");
  newest().accept();
  events.want("wss://x/?ticket=c");
  assert.deepEqual(FakeSocket.all.map((socket) => socket.url), ["wss://x/?ticket=a"]);
  assert.deepEqual(states, ["connecting", "live"]);
  events.rest();
  assert.equal(newest().closed, true);
  assert.equal(states.at(-1), "idle");
});

test("a stay that is over renews the ticket without a word; the last event's id goes with it", async () => {
  const { events, states, heard } = listening();
  events.want("wss://x/?ticket=a");
  newest().accept();
  newest().send("99");
  newest().send("100");
  newest().send("98"); // of another shard
  newest().end(4001);
  await tick();
  assert.equal(newest().url, "wss://x/?ticket=1&last_event_id=100");
  newest().accept();
  assert.deepEqual(states, ["connecting", "live"]);
  assert.deepEqual(heard, ["99", "100", "98"]);
  events.rest();
});

test("a last event that is too old is not sent again", async () => {
  const { events } = listening();
  events.want("wss://x/?ticket=a");
  newest().accept();
  newest().send("99");
  newest().end(4003);
  assert.equal(events.last, "");
  events.rest();
});

test("a lost socket is dialled again after a pause, and what the old one still says is not heard", async () => {
  const { events, states, heard } = listening();
  events.want("wss://x/?ticket=a");
  const old = newest();
  old.accept();
  old.end(1006);
  assert.deepEqual(states, ["connecting", "live", "reconnecting"]);
  old.onmessage({ data: JSON.stringify({ id: "1", data: {} }) });
  assert.deepEqual(heard, []);
  events.want("wss://x/?ticket=b"); // polls have tickets too: they do not shorten the pause
  assert.equal(FakeSocket.all.length, 1);
  events.again(); // the network is back
  await tick();
  assert.equal(FakeSocket.all.length, 2);
  events.forget();
  assert.equal(events.last, "");
});

test("nonsense on the socket is not heard", () => {
  const { events, heard } = listening();
  events.want("wss://x/?ticket=a");
  newest().accept();
  for (const data of ["", "[]", "null", "{}", new Uint8Array(3)]) newest().onmessage({ data });
  assert.deepEqual(heard, []);
  events.rest();
});
