// Stripe's own client against a server that claims to be like Stripe's. Usage: URL KEY CASE [ARGUMENT]
// (the packages are found by NODE_PATH). Prints one line for each check; exits with 1 if one fails.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const Stripe = require('stripe');

const [address, key, name, argument] = process.argv.slice(2);
const url = new URL(address);
const stripe = new Stripe(key, {
  host: url.hostname, port: url.port, protocol: 'http', maxNetworkRetries: 0, telemetry: false,
});
const sale = (order, more) => ({
  amount: 4900, currency: 'eur', payment_method: 'pm_card_visa', confirm: true,
  payment_method_types: ['card'], metadata: { order_id: order }, ...more,
});
const refused = async (promise, expected) => {
  const error = await promise.then(() => assert.fail('it was not refused'), (reason) => reason);
  for (const [member, value] of Object.entries(expected)) assert.equal(error[member], value, `${member} of ${error}`);
  return error;
};

const cases = {
  async create() {
    const intent = await stripe.paymentIntents.create(sale('create'));
    assert.equal(intent.status, 'succeeded');
    assert.equal(intent.amount_received, 4900);
    assert.match(intent.lastResponse.requestId, /^req_/);
    assert.equal(intent.lastResponse.statusCode, 200);
    assert.ok(intent.lastResponse.apiVersion, 'the version is said');
  },

  async confirm() {
    const intent = await stripe.paymentIntents.create({ amount: 4900, currency: 'eur', payment_method_types: ['card'] });
    assert.equal(intent.status, 'requires_payment_method');
    await refused(stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_chargeDeclined' }),
      { type: 'StripeCardError', code: 'card_declined', decline_code: 'generic_decline', statusCode: 402 });
    const paid = await stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_visa' });
    assert.equal(paid.id, intent.id);
    assert.equal(paid.status, 'succeeded');
  },

  async replay() {
    const options = { idempotencyKey: `replay-${process.pid}` };
    const first = await stripe.paymentIntents.create(sale('replay'), options);
    const again = await stripe.paymentIntents.create(sale('replay'), options);
    assert.equal(again.id, first.id);
    assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
    assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
    assert.equal(again.lastResponse.idempotencyKey, options.idempotencyKey);
    await refused(stripe.paymentIntents.create(sale('replay', { amount: 5000 }), options),
      { type: 'StripeIdempotencyError', statusCode: 400 });
  },

  async retrieve() {
    const made = await stripe.paymentIntents.create(sale('retrieve'));
    const intent = await stripe.paymentIntents.retrieve(made.id, { expand: ['latest_charge'] });
    assert.equal(intent.metadata.order_id, 'retrieve');
    assert.equal(intent.latest_charge.id, made.latest_charge);
    assert.equal(intent.latest_charge.paid, true);
    await refused(stripe.paymentIntents.retrieve('pi_none'),
      { type: 'StripeInvalidRequestError', code: 'resource_missing', statusCode: 404 });
  },

  async pages() {
    const made = [];
    for (let number = 0; number < 7; number++) made.unshift((await stripe.paymentIntents.create(sale(`pages-${number}`))).id);
    const found = [];
    for await (const intent of stripe.paymentIntents.list({ limit: 3 })) {
      found.push(intent.id);
      if (found.length === made.length) break;
    }
    assert.deepEqual(found, made);
    const page = await stripe.paymentIntents.list({ limit: 3, created: { gte: 0 } });
    assert.equal(page.has_more, true);
  },

  async methods() {
    const method = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } });
    const first = await stripe.paymentIntents.create(sale('methods', { payment_method: method.id }));
    assert.equal(first.payment_method, method.id);
    const error = await refused(stripe.paymentIntents.create(sale('methods', { payment_method: method.id })),
      { type: 'StripeInvalidRequestError', statusCode: 400, code: undefined, param: undefined });
    assert.equal(error.headers['stripe-should-retry'], 'false');
    const customer = await stripe.customers.create({ email: 'ann@example.com', metadata: { user: 'ann' } });
    const saved = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
    for (let number = 0; number < 2; number++) {
      const paid = await stripe.paymentIntents.create(sale('saved', { payment_method: saved.id, customer: customer.id }));
      assert.equal(paid.customer, customer.id);
    }
    assert.equal((await stripe.customers.retrieve(customer.id)).metadata.user, 'ann');
    assert.equal((await stripe.paymentMethods.detach(saved.id)).customer, null);
  },

  async refund() {
    const intent = await stripe.paymentIntents.create(sale('refund'));
    const part = await stripe.refunds.create({ payment_intent: intent.id, amount: 900, metadata: { why: 'late' } });
    assert.equal(part.status, 'succeeded');
    assert.equal((await stripe.refunds.retrieve(part.id)).metadata.why, 'late');
    await refused(stripe.refunds.create({ payment_intent: intent.id, amount: 4001 }),
      { type: 'StripeInvalidRequestError', param: 'amount' });
    await stripe.refunds.create({ payment_intent: intent.id });
    const { data } = await stripe.refunds.list({ payment_intent: intent.id });
    assert.deepEqual(data.map((refund) => refund.amount), [4000, 900]);
    assert.equal((await stripe.charges.retrieve(intent.latest_charge)).refunded, true);
  },

  async cancel() {
    const intent = await stripe.paymentIntents.create(sale('cancel', { payment_method: 'pm_card_authenticationRequired' }));
    assert.equal(intent.status, 'requires_action');
    assert.equal((await stripe.paymentIntents.cancel(intent.id)).status, 'canceled');
    const error = await refused(stripe.paymentIntents.cancel(intent.id), { code: 'payment_intent_unexpected_state' });
    assert.equal(error.payment_intent.status, 'canceled');
  },

  async capture() {
    const intent = await stripe.paymentIntents.create(sale('capture', { capture_method: 'manual' }));
    assert.equal(intent.status, 'requires_capture');
    assert.equal((await stripe.paymentIntents.capture(intent.id)).status, 'succeeded');
  },

  async key() {
    const other = new Stripe('sk_test_wrong', { host: url.hostname, port: url.port, protocol: 'http', maxNetworkRetries: 0 });
    await refused(other.paymentIntents.list(), { type: 'StripeAuthenticationError', statusCode: 401 });
  },

  // ARGUMENT: a file with [{text, signature}, …] and the secret
  async webhooks() {
    const { secret, events } = JSON.parse(fs.readFileSync(argument, 'utf8'));
    assert.ok(events.length > 0);
    for (const { text, signature } of events) {
      const event = stripe.webhooks.constructEvent(text, signature, secret);
      assert.equal(event.object, 'event');
      assert.throws(() => stripe.webhooks.constructEvent(`${text} `, signature, secret), /signature/i);
      assert.throws(() => stripe.webhooks.constructEvent(text, signature, `${secret}x`), /signature/i);
    }
  },
};

const patient = () => new Stripe(key, { host: url.hostname, port: url.port, protocol: 'http', maxNetworkRetries: 3 });

// The client tries again by itself, with its own key, what it was advised to try again.
cases.retries = async () => {
  const intent = await patient().paymentIntents.create(sale('retries'));
  assert.equal(intent.status, 'succeeded');
};

// … and not what it was not: what is above a limit, and what its key replays for ever.
cases.limited = () => refused(patient().paymentIntents.create(sale('limited')),
  { type: 'StripeRateLimitError', code: 'rate_limit', statusCode: 429 });
cases.broken = () => refused(patient().paymentIntents.create(sale('broken')), { type: 'StripeAPIError', statusCode: 500 });

// The client leaves the answers that it retries unread, and their connections open: so the process is ended.
cases[name]().then(() => {
  console.log(`${name}: ok`);
  process.exit(0);
}, (error) => {
  console.error(error);
  process.exit(1);
});
