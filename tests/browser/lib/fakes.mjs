// What the client's unit tests play: storage, a socket, answers, tokens.

import { webcrypto } from "node:crypto";
import { newKey } from "../../../deploy/web/checkout/wishes.js";

globalThis.crypto ??= webcrypto;

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
export const token = (claims) => `${base64({ alg: "HS256" })}.${base64(claims)}.x`;
export const tick = () => new Promise((done) => setTimeout(done, 0));

/** A Storage in memory; `room`: how many writes it takes. */
export class Memory {
  constructor(room = Infinity) {
    this.map = new Map();
    this.room = room;
  }
  get length() { return this.map.size; }
  key(index) { return [...this.map.keys()][index] ?? null; }
  getItem(name) { return this.map.get(name) ?? null; }
  setItem(name, text) {
    if (this.room <= 0) throw new Error("full");
    this.room -= 1;
    this.map.set(name, text);
  }
  removeItem(name) { this.map.delete(name); }
}

export const body = { sku: "dress", quantity: 1, payment_method: "pm_1", receipt_email: "ann@example.org" };
export const wish = (more = {}) => ({ key: newKey(), sub: "ann", sku: "dress", quantity: 1, at: 1000000, body, ...more });
export const answer = (status, json = {}, headers = {}) => new Response(JSON.stringify(json), { status, headers });

export class FakeSocket {
  static all = [];
  constructor(url) { this.url = url; FakeSocket.all.push(this); }
  close() { this.closed = true; }
  accept() { this.onopen(); }
  send(id, data = {}) { this.onmessage({ data: JSON.stringify({ id, sequence: 1, data }) }); }
  end(code) { this.onclose({ code }); }
}
export const newest = () => FakeSocket.all.at(-1);
