// Takes webhooks of Checkout: checks who sent each, does its work once, in order. No packages needed.
//     WEBHOOK_SECRET=whsec_… PORT=8090 node receiver.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secrets = process.env.WEBHOOK_SECRET.split(' ').map((text) => Buffer.from(text.replace('whsec_', ''), 'base64'));
const TOLERANCE = 300; // seconds that the sender's clock may differ, and that a copied request stays good
const newest = new Map(); // order → sequence. A shop keeps it in its database, in the transaction of its work

// Whether somebody with our secret has signed these very bytes, just now.
function genuine(headers, body) {
  const sent = headers['webhook-timestamp'] ?? '';
  if (!/^\d+$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > TOLERANCE) return false;
  const content = Buffer.concat([Buffer.from(`${headers['webhook-id'] ?? ''}.${sent}.`), body]);
  const good = secrets.map((secret) => createHmac('sha256', secret).update(content).digest());
  return (headers['webhook-signature'] ?? '').split(' ').some((text) => {
    const [version, value] = text.split(',');
    const given = Buffer.from(value ?? '', 'base64');
    return version === 'v1' && good.some((mac) => mac.length === given.length && timingSafeEqual(mac, given));
  });
}

// Does the work; what throws comes again later. An event may come twice: one that is known changes nothing.
function take({ type, data }) {
  if (type === 'test' || (newest.get(data.order_id) ?? 0) >= (data.sequence ?? Infinity)) return;
  if (type === 'order.confirmed') console.log(`send ${data.quantity} x ${data.sku} to ${data.user_id}`);
  else if (type === 'order.refunded') console.log(`stop sending ${data.sku} to ${data.user_id}`);
  if (data.sequence) newest.set(data.order_id, data.sequence);
}

createServer(async (request, response) => {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > 65536) return response.writeHead(413).end();
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  if (!genuine(request.headers, body)) return response.writeHead(401).end();
  try {
    take(JSON.parse(body));
    return response.writeHead(204).end();
  } catch {
    return response.writeHead(500).end();
  }
}).listen(Number(process.env.PORT ?? 8090), '127.0.0.1');
