// What the tests reach beside the browser: the control of stack.py, and waiting.

import assert from "node:assert/strict";

export const SHOP = process.env.BROWSER_SHOP;
const CONTROL = process.env.BROWSER_CONTROL;

async function ask(name, args) {
  const answer = await fetch(`${CONTROL}/${name}`, { method: "POST", body: JSON.stringify(args ?? {}) });
  const result = await answer.json();
  if (answer.status !== 200) throw new Error(`${name}(${JSON.stringify(args)}): ${result}`);
  return result;
}

/** world.NAME({…}) calls the method NAME of stack.py's World. */
export const world = new Proxy({}, { get: (_, name) => (args) => ask(name, args) });

/** So long Playwright waits for what a page is to show: a machine may be slow, and others use it, too. */
export const PATIENCE_MS = 120000;

const SLOW = 4;

/** Waits until `test` gives something true, and returns it: so many seconds, and on a slow machine SLOW times as long.
    `what` is a text, or gives one when it was in vain. */
export async function until(what, test, seconds = 20) {
  const most = Math.max(seconds, Math.min(SLOW * seconds, PATIENCE_MS / 1000));
  const end = Date.now() + most * 1000;
  for (;;) {
    const result = await test();
    if (result) return result;
    if (Date.now() > end) assert.fail(`waited ${most} s in vain for ${typeof what === "function" ? what() : what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** All tests, or the short set. */
export const full = process.env.BROWSER_FULL === "1";

/** A test that only the full set runs. */
export const slow = { skip: full ? false : "only with --full" };
