// Verifies a webhook as its receivers do: v1 by standardwebhooks (found by NODE_PATH), v1a by Node's crypto.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { Webhook } = require('standardwebhooks');

const { headers, body, secret, public: key } = JSON.parse(process.argv[2]);
assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body));

const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key.slice(5), 'base64')]);
const publicKey = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
const signature = headers['webhook-signature'].split(' ').find((text) => text.startsWith('v1a,')).slice(4);
const signed = (text) => Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`);
assert.ok(crypto.verify(null, signed(body), publicKey, Buffer.from(signature, 'base64')));

assert.throws(() => new Webhook(secret).verify(`${body} `, headers));
assert.ok(!crypto.verify(null, signed(`${body} `), publicKey, Buffer.from(signature, 'base64')));
console.log('v1 v1a altered');
