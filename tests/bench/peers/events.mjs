// What a team would build in place of the notifier: a websocket server by ws, which sends each buyer what Redis tells
// of the buyer's orders. It replays nothing.
//
//   events.mjs PORT REDIS_URL SECRET_FILE

import fs from "node:fs";
import http from "node:http";

import { createVerifier } from "fast-jwt";
import Redis from "ioredis";
import { WebSocketServer } from "ws";

const [port, redisUrl, secretFile] = process.argv.slice(2);
const PREFIX = "peer:events:";
const BUFFERED_MAX = 1024 * 1024; // a slower reader is closed

const verify = createVerifier({
  key: fs.readFileSync(secretFile, "utf8").trim(),
  algorithms: ["HS256"],
  allowedAud: "checkout",
});
const redis = new Redis(redisUrl);
const sockets = new Map(); // user → sockets

redis.on("message", (channel, text) => {
  for (const socket of sockets.get(channel.slice(PREFIX.length)) ?? []) {
    if (socket.bufferedAmount > BUFFERED_MAX) socket.close(1013);
    else socket.send(text);
  }
});

async function join(user, socket) {
  let own = sockets.get(user);
  if (own === undefined) {
    own = new Set();
    sockets.set(user, own);
    await redis.subscribe(PREFIX + user);
  }
  own.add(socket);
}

async function leave(user, socket) {
  const own = sockets.get(user);
  own?.delete(socket);
  if (own?.size !== 0) return;
  sockets.delete(user);
  await redis.unsubscribe(PREFIX + user);
}

const websockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  handleProtocols: () => "cloudevents.json",
});
const server = http.createServer();
server.on("upgrade", async (request, raw, head) => {
  let user;
  try {
    user = verify(request.headers.authorization?.slice("Bearer ".length) ?? "").sub;
  } catch {
    raw.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    return;
  }
  websockets.handleUpgrade(request, raw, head, (socket) => {
    socket.on("close", () => leave(user, socket));
    join(user, socket);
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
