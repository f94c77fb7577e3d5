// The demo as somebody on another machine sees it: one port, plain http, a name instead of loopback.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { FLAGS } from "./lib/browser.mjs";
import { until } from "./lib/world.mjs";

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const HOST = "shop.test"; // no loopback address: so no secure context

// as who starts it has it: nothing of ours, which its programs would refuse
const outside = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CHECKOUT_")));

let folder, port, demo, browser, page;
let printed = "";

const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port: free } = server.address();
    server.close(() => done(free));
  });
});
const call = (path_, options) => fetch(`http://127.0.0.1:${port}${path_}`, options);

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "checkout-demo."));
  fs.chmodSync(folder, 0o755); // PostgreSQL may run as another user
  port = await freePort();
  demo = spawn(path.join(ROOT, "deploy", "demo"), ["--dir", folder, "--port", port, "--listen", "127.0.0.1",
    "--origin", `http://${HOST}:${port}`, "--origin", "http://own-page.test:5173"], { stdio: ["ignore", "pipe", "pipe"], env: outside });
  for (const stream of [demo.stdout, demo.stderr]) stream.on("data", (data) => { printed += data; });
  await until("the demo to open", () => {
    assert.equal(demo.exitCode, null, printed);
    return printed.includes("the shop is open");
  }, 400);
  browser = await chromium.launch({ executablePath: process.env.BROWSER_CHROMIUM || "/usr/bin/chromium",
    args: [...FLAGS, `--host-resolver-rules=MAP ${HOST} 127.0.0.1`] });
  page = await browser.newPage({ locale: "en-US", reducedMotion: "reduce" });
}, { timeout: 420000 });

after(async () => {
  await browser?.close();
  demo?.kill("SIGINT");
  await until("the demo to end", () => demo.exitCode !== null || demo.signalCode !== null, 60);
  fs.rmSync(folder, { recursive: true });
});

const sees = (status) => until(status, async () => (await page.locator("#orders > li").first().getAttribute("data-status")) === status, 30);
const shelf = (title) => page.locator(".item", { hasText: title }).getByRole("button");

test("it says where it is, and that anybody can be any customer", () => {
  assert.match(printed, new RegExp(`the shop is open: http://${HOST}:${port}/`));
  assert.match(printed, /WARNING: anybody who reaches 127\.0\.0\.1:\d+ can be any customer/);
});

test("a buyer buys through the one port, without a secure context", async () => {
  const requests = new Set();
  page.on("request", (request) => requests.add(new URL(request.url()).host));
  page.on("websocket", (socket) => requests.add(new URL(socket.url()).host));
  await page.goto(`http://${HOST}:${port}/`);
  assert.equal(await page.evaluate(() => isSecureContext), false);
  await shelf("VIP pass").click();
  await sees("confirmed");
  await page.getByRole("radio", { name: /bank asks you/ }).check();
  await shelf("signed").click();
  const act = page.getByRole("link", { name: "Confirm at your bank" });
  await act.waitFor();
  await until("the socket", async () => (await page.locator("#live").getAttribute("data-state")) === "live");
  await act.click();
  await page.getByRole("button", { name: "Approve" }).click();
  await page.waitForURL(`http://${HOST}:${port}/`);
  await sees("confirmed");
  assert.deepEqual([...requests], [`${HOST}:${port}`]);
});

test("nothing else can be reached through it", async () => {
  for (const path_ of ["/_control", "/v1/payment_intents", "/v1/refunds", "/v1/webhooks/stripe", "/metrics", "/readyz", "/livez",
    "/..%2f_control", "/3ds/../_control", "/v1/../_control", "/serve", "/js/../serve"]) {
    for (const method of ["GET", "POST"]) {
      const answer = await call(path_, { method, body: method === "POST" ? "{}" : undefined });
      assert.ok([400, 404, 501].includes(answer.status), `${method} ${path_}: ${answer.status}`);
    }
  }
});

test("pages of one's own may call it, others may not", async () => {
  const ask = async (origin) => (await call("/v1/orders", { method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": "POST" } }))
    .headers.get("Access-Control-Allow-Origin");
  assert.equal(await ask("http://own-page.test:5173"), "http://own-page.test:5173");
  assert.equal(await ask("http://another.test"), null);
});

test("the proxy's log has no ticket", () => {
  const log = fs.readFileSync(path.join(folder, "proxy", "access.log"), "utf8");
  assert.match(log, /GET \/v1\/events"/);
  assert.doesNotMatch(log, /ticket/);
  assert.doesNotMatch(fs.readFileSync(path.join(folder, "logs", "proxy.log"), "utf8"), /ticket/);
});
