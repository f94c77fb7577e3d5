// A buyer's websocket by npm's ws, which is strict about what a server sends. Prints what happens, a line of JSON each.

const WebSocket = require("ws");

const [url, token] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const socket = new WebSocket(url, ["cloudevents.json"], { headers: { Authorization: `Bearer ${token}` }, maxPayload: 65536 });
socket.on("open", () => {
  say({ open: socket.protocol, extensions: socket.extensions });
  socket.ping("are you there");
  socket.send("hello ☃");
});
socket.on("pong", (data) => say({ pong: data.toString() }));
socket.on("ping", () => say({ ping: true }));
socket.on("message", (data, binary) => say({ binary, event: JSON.parse(data) }));
socket.on("error", (error) => say({ error: error.message }));
socket.on("close", (code, reason) => say({ close: code, reason: reason.toString() }));
