// How the storefront's tabs sign in: those of a first visit one after the other, all others side by side. Without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

/** The tabs of one browser: their cookies, and its locks if it has some. `queue` is who waits for the lock. */
class Browser {
  constructor({ locks }) {
    this.cookies = new Map();
    this.queue = [];
    globalThis.document = Object.defineProperty({}, "cookie", {
      get: () => [...this.cookies].map((pair) => pair.join("=")).join("; "),
      set: (text) => {
        const [, name, value] = /^(\w[\w-]*)=(\w*)/.exec(text);
        if (/max-age=0/.test(text)) this.cookies.delete(name); else this.cookies.set(name, value);
      },
    });
    const navigator = { cookieEnabled: true, ...(locks && { locks: { request: (...args) => this.request(...args) } }) };
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
  }

  request(_, ...rest) {
    const [work, { signal } = {}] = rest.reverse();
    return new Promise((done, fail) => {
      const one = async () => { await Promise.resolve(work()).then(done, fail); this.queue.shift(); this.queue[0]?.(); };
      signal?.addEventListener("abort", () => {
        if (this.queue.indexOf(one) > 0) { this.queue.splice(this.queue.indexOf(one), 1); fail(signal.reason); }
      });
      if (this.queue.push(one) === 1) void one();
    });
  }
}

/** The shop's server: a customer for each request without a cookie. It answers known ones when so many ask side by side. */
class Server {
  constructor(browser, together) {
    this.customers = 0;
    const waiting = [];
    globalThis.fetch = async () => {
      const customer = browser.cookies.get("customer") ?? `c${this.customers += 1}`;
      if (browser.cookies.has("customer")) {
        await new Promise((done) => { if (waiting.push(done) === together) waiting.forEach((each) => each()); });
      }
      await new Promise((done) => setTimeout(done, 20));
      browser.cookies.set("customer", customer);
      return { ok: true, json: async () => ({ customer }) };
    };
  }
}

let visit = 0;
const page = async () => (await import(`../../deploy/web/js/session.js?${visit += 1}`)).session;

for (const locks of [true, false]) {
  test(`five tabs of a first visit are one customer, and only the first of them is waited for (${locks ? "locks" : "plain http"})`, { timeout: 20000 }, async () => {
    const browser = new Browser({ locks });
    void new Server(browser, 4);
    const session = await page();
    const answers = await Promise.all(Array.from({ length: 5 }, () => session()));
    assert.deepEqual(answers.map(({ customer }) => customer), Array(5).fill("c1"));
  });
}

test("a tab that gives up waiting for its turn leaves the queue", async (context) => {
  const browser = new Browser({ locks: true });
  const server = new Server(browser, 1);
  const session = await page();
  context.mock.method(AbortSignal, "timeout", soon);
  void navigator.locks.request("session", () => new Promise(() => {})); // a tab whose server never answers
  await assert.rejects(session(), /no longer/);
  assert.deepEqual([browser.queue.length, server.customers], [1, 0]);
});

function soon() {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("no longer")), 10);
  return controller.signal;
}
