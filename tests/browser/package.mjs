// The client as a package: npm packs it with its types, and a program in TypeScript can use it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const WEB = path.join(HERE, "..", "..", "deploy", "web");
const BIN = path.join(HERE, "node_modules", ".bin");
const PATH = `${BIN}${path.delimiter}${process.env.PATH}`;

function run(cwd, program, ...args) {
  try {
    return execFileSync(program, args, { cwd, encoding: "utf8", env: { ...process.env, PATH }, stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    return assert.fail(`${program} ${args.join(" ")}:\n${error.stdout}${error.stderr}`);
  }
}

test("the packed client has its types and nothing else, and strict TypeScript takes it", (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "checkout-package."));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const [packed] = JSON.parse(run(WEB, "npm", "pack", "--json", "--silent", "--pack-destination", folder).replace(/^[^[]*/, ""));
  const files = packed.files.map((file) => file.path);
  assert.deepEqual(files.filter((name) => !/^(package\.json|README\.md|LICENSE|checkout\.js|checkout\/\w+\.js|types\/.*\.d\.ts)$/.test(name)), []);
  for (const name of ["README.md", "LICENSE", "checkout.js", "checkout/client.js", "types/checkout.d.ts"]) assert.ok(files.includes(name), name);
  const target = path.join(folder, "node_modules", "checkout-web");
  fs.mkdirSync(target, { recursive: true });
  run(folder, "tar", "xzf", packed.filename, "-C", target, "--strip-components=1");
  fs.writeFileSync(path.join(folder, "shop.ts"), `
import { Checkout, isFinal, money, type Order, type Connection } from "checkout-web";
const checkout = new Checkout({ api: "", session: async () => ({ token: "x" }) });
checkout.on("change", (order: Order) => console.log(order.status, order.next_action?.url, isFinal(order)));
checkout.on("connection", (state: Connection) => console.log(state));
export async function buy(): Promise<string> {
  const item = await checkout.item("dress");
  const order = await checkout.buy({ sku: "dress", quantity: 1, payment_method: "pm_x", unit_price: item?.price, locale: "de" });
  const problem = await checkout.cancel(order);
  return problem?.detail ?? money(order.amount ?? 0, order.currency ?? "usd");
}
// @ts-expect-error a quantity is a number
void checkout.buy({ sku: "dress", quantity: "1", payment_method: "pm_x" });
// @ts-expect-error there is no such news
checkout.on("chnage", () => {});
`);
  run(folder, "tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2023,dom", "shop.ts");
});

test("the client's parts are at most 450 lines each, and use nothing but each other", () => {
  const files = ["checkout.js", ...fs.readdirSync(path.join(WEB, "checkout")).map((name) => `checkout/${name}`)];
  for (const name of files) {
    const text = fs.readFileSync(path.join(WEB, name), "utf8");
    assert.ok(text.split("\n").length <= 450, name);
    for (const [, from] of text.matchAll(/^(?:import|export) .*from "(.*)"/gm)) assert.match(from, /^\.\//, `${name} uses ${from}`);
  }
});

test("the storefront asks for all its modules at once", () => {
  const page = fs.readFileSync(path.join(WEB, "index.html"), "utf8");
  const asked = [...page.matchAll(/<link rel="modulepreload" href="(.*)">/g)].map(([, name]) => name);
  const modules = ["checkout.js"];
  for (const folder of ["checkout", "js", "js/words"])
    modules.push(...fs.readdirSync(path.join(WEB, folder)).filter((name) => name.endsWith(".js")).map((name) => `${folder}/${name}`));
  assert.deepEqual(asked.sort(), modules.filter((name) => name !== "js/main.js").sort());
});
