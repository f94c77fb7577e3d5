-- What a writing transaction tells its caller: tasks and news (checkout.output). Each kind is made here alone.

-- What may be an age: never below 0, since a clock may have been set back.
create or replace function checkout.age_ms(p_since timestamptz) returns bigint
language sql stable
return greatest(0, (extract(epoch from now() - p_since) * 1000)::bigint);

-- A customer without the name: the same text for all of a customer's orders in this database.
create or replace function checkout.opaque_customer(p_user text, p_salt uuid) returns text
language sql stable
return left(encode(sha256(convert_to('customer ' || p_salt::text || p_user, 'UTF8')), 'hex'), 32);

create or replace function checkout.charge_task(
    p_order uuid, p_attempt integer, p_amount bigint, p_currency text, p_sku text, p_method text, p_email text,
    p_age_ms bigint, p_resolution text, p_customer text, p_intent text, p_left_ms bigint, p_order_age_ms bigint,
    p_gateway_customer text, p_quantity integer, p_reference text, p_trace text)
returns checkout.task language sql immutable
return row('charge', p_order, p_sku, p_attempt, p_amount, p_currency, p_method, p_email, p_intent, null, p_age_ms,
           p_left_ms, p_resolution, p_customer, p_order_age_ms, p_gateway_customer, p_quantity, p_reference,
           p_trace)::checkout.task;

-- One that is open already.
create or replace function checkout.charge_task(p checkout.payments, o checkout.orders) returns checkout.task
language sql stable
return checkout.charge_task(
    p.order_id, p.attempt, p.amount, p.currency, o.sku, coalesce(o.payment_method, ''), o.receipt_email,
    checkout.age_ms(p.created_at), p.resolution,
    (select checkout.opaque_customer(o.user_id, s.salt) from checkout.forget_salt s), p.intent_id,
    case when p.action_until is not null
         then greatest(0, (extract(epoch from p.action_until - now()) * 1000)::bigint) end,
    (select checkout.age_ms(f.created_at) from checkout.payments f where f.order_id = p.order_id and f.attempt = 1),
    o.gateway_customer, o.quantity, o.reference, o.traceparent);

create or replace function checkout.refund_task(r checkout.refunds, p_sku text) returns checkout.task
language sql stable
return row('refund', r.order_id, p_sku, r.attempt, r.amount, r.currency, null, null, r.intent_id,
           r.idempotency_key, greatest(0, (extract(epoch from now() - r.key_since) * 1000)::bigint), null,
           null, null, null, null, null, null,
           (select o.traceparent from checkout.orders o where o.order_id = r.order_id))::checkout.task;

create or replace function checkout.reconcile_task(
    p_order uuid, p_attempt integer, p_amount bigint, p_currency text, p_sku text, p_age_ms bigint)
returns checkout.task language sql immutable
return row('reconcile', p_order, p_sku, p_attempt, p_amount, p_currency, null, null, null, null, p_age_ms, null,
           null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.look_at_returns_task(l checkout.return_looks) returns checkout.task
language sql stable
return row('look_at_returns', l.order_id, null, l.attempt, null, null, null, null, l.intent_id, l.hints::text,
           checkout.age_ms(l.since), null, null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.await_buyer_task(p_order uuid, p_attempt integer, p_left_ms bigint)
returns checkout.task language sql immutable
return row('await_buyer', p_order, null, p_attempt, null, null, null, null, null, null, null, p_left_ms,
           null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.check_task(p_order uuid) returns checkout.task
language sql immutable
return row('check', p_order, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.settle_waitlist_task(p_sku text) returns checkout.task
language sql immutable
return row('settle_waitlist', null, p_sku, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.run_commands_task() returns checkout.task
language sql immutable
return row('run_commands', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.decide_aside_task(p_sku text) returns checkout.task
language sql immutable
return row('decide_aside', null, p_sku, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)::checkout.task;

create or replace function checkout.transition_news(p_status text, p_reason text, p_count bigint)
returns checkout.news language sql immutable
return row('transition', null, null, p_status, p_reason, null, null, p_count)::checkout.news;

create or replace function checkout.conflict_news(p_order uuid, p_sku text) returns checkout.news
language sql immutable
return row('conflict', p_order, p_sku, null, null, null, null, null)::checkout.news;

create or replace function checkout.late_capture_news(p_order uuid, p_sku text, p_status text, p_intent text)
returns checkout.news language sql immutable
return row('late_capture', p_order, p_sku, p_status, null, p_intent, null, null)::checkout.news;

create or replace function checkout.command_news(c checkout.commands, p_state text, p_result text)
returns checkout.news language sql immutable
return row('command', c.order_id, c.sku, p_state, p_result, null, c.command_id, null)::checkout.news;

create or replace function checkout.item_changed_news(p_sku text) returns checkout.news
language sql immutable
return row('item_changed', null, p_sku, null, null, null, null, null)::checkout.news;

-- p_count jobs of an item (and maybe of others) were set aside.
create or replace function checkout.set_aside_news(p_count bigint, p_sku text, p_why text) returns checkout.news
language sql immutable
return row('set_aside', null, p_sku, null, p_why, null, null, p_count)::checkout.news;

-- What came of a payment or refund of the order could not be recorded, because its item's row is locked.
create or replace function checkout.not_recorded_news(p_order uuid, p_attempt integer) returns checkout.news
language sql immutable
return row('not_recorded', p_order, null, null, null, null, null, p_attempt)::checkout.news;

-- The two as rows of an output.
create or replace function checkout.output_of(p_task checkout.task) returns checkout.output
language sql immutable
return row(p_task, null)::checkout.output;

create or replace function checkout.output_of(p_news checkout.news) returns checkout.output
language sql immutable
return row(null, p_news)::checkout.output;
