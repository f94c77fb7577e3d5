-- What programs of the previous release (version 1) call: the same transactions, whose results are checkout.effect. To be dropped, with
-- that type, by the release after this one.

-- An output as the previous release reads it. Its news of an item rides on a tally of no orders.
create or replace function checkout.effect_of(o checkout.output) returns checkout.effect
language sql immutable as $$
    select case
        when (o.task).kind = 'charge' then
            row('pay', (o.task).order_id, (o.task).attempt, (o.task).amount, (o.task).currency,
                (o.task).payment_method, (o.task).receipt_email, (o.task).sku, (o.task).age_ms::text,
                (o.task).resolution)::checkout.effect
        when (o.task).kind = 'refund' then
            row('refund', (o.task).order_id, (o.task).attempt, (o.task).amount, (o.task).currency,
                (o.task).intent_id, null, (o.task).sku, (o.task).age_ms::text, (o.task).key)::checkout.effect
        when (o.task).kind = 'reconcile' then
            row('look', (o.task).order_id, (o.task).attempt, (o.task).amount, (o.task).currency, null, null,
                (o.task).sku, (o.task).age_ms::text, null)::checkout.effect
        when (o.task).kind = 'await_buyer' then
            row('action', (o.task).order_id, (o.task).attempt, null, null, null, null, null,
                (o.task).left_ms::text, null)::checkout.effect
        when (o.task).kind = 'check' then
            row('hint', (o.task).order_id, null, null, null, null, null, null, null, null)::checkout.effect
        when (o.task).kind = 'settle_waitlist' then
            row('more', null, null, null, null, null, null, (o.task).sku, null, null)::checkout.effect
        when (o.task).kind = 'run_commands' then
            row('commands', null, null, null, null, null, null, null, null, null)::checkout.effect
        when (o.news).kind = 'transition' then
            row('tally', null, null, (o.news).count, null, null, null, null, (o.news).status,
                (o.news).reason)::checkout.effect
        when (o.news).kind = 'conflict' then
            row('conflict', (o.news).order_id, null, null, null, null, null, (o.news).sku, null,
                null)::checkout.effect
        when (o.news).kind = 'late_capture' then
            row('late', (o.news).order_id, null, null, null, null, null, (o.news).sku, (o.news).status,
                (o.news).intent_id)::checkout.effect
        when (o.news).kind = 'command' then
            row('command', (o.news).order_id, null, (o.news).command_id, null, null, null, (o.news).sku,
                (o.news).status, (o.news).reason)::checkout.effect
        when (o.news).kind = 'item_changed' then
            row('tally', null, null, 0, null, null, null, (o.news).sku, 'refunded', null)::checkout.effect
    end
$$;

-- The kinds that it knows and no others: it would take another one for a tally.
create or replace function checkout.effects_of(o checkout.output[]) returns setof checkout.effect
language sql immutable as $$
    select (e).* from (select checkout.effect_of(u) from unnest(o) u) t(e) where (e).kind is not null
$$;

create or replace function checkout.decide(
    p_shards integer, p_shard integer, p_epoch bigint, p_wait_ms bigint,
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[])
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.decide_jobs(p_shards, p_shard, p_epoch, p_wait_ms, p_ids, p_users, p_skus,
                                           p_quantities, p_methods, p_emails, p_prices, p_references,
                                           p_accepted, p_fingerprints, p_traces, p_flaws) o))
$$;

create or replace function checkout.settle(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_intents text[], p_codes text[])
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.settle_payments(
            p_shards, p_shard, p_epoch, p_ids, p_attempts, p_states, p_intents, p_codes,
            array(select case s when 'action' then (c::jsonb ->> 'wait_ms')::bigint end
                    from unnest(p_states, p_codes) with ordinality as u(s, c, n) order by n),
            '{}', '{}',
            array(select case s when 'action' then c::jsonb ->> 'action' end
                    from unnest(p_states, p_codes) with ordinality as u(s, c, n) order by n)) o))
$$;

create or replace function checkout.settle_refunds(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_refs text[], p_amounts bigint[], p_codes text[])
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.record_refunds(p_shards, p_shard, p_epoch, p_ids, p_attempts, p_states, p_refs,
                                              p_amounts, p_codes) o))
$$;

create or replace function checkout.settle_line(p_shards integer, p_shard integer, p_epoch bigint, p_sku text,
                                                p_limit integer)
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.settle_waitlist(p_shards, p_shard, p_epoch, p_sku, p_limit) o))
$$;

create or replace function checkout.expire(p_shards integer, p_shard integer, p_epoch bigint, p_limit integer)
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.expire_waiting(p_shards, p_shard, p_epoch, p_limit) o))
$$;

create or replace function checkout.execute_commands(p_shards integer, p_shard integer, p_epoch bigint,
                                                     p_limit integer)
returns setof checkout.effect
language sql as $$
    select * from checkout.effects_of(array(
        select o from checkout.run_commands(p_shards, p_shard, p_epoch, p_limit) o))
$$;

create or replace function checkout.open_payments(p_shard_list integer[], p_age_ms bigint, p_limit integer)
returns setof checkout.effect
language sql stable as $$
    select * from checkout.effects_of(array(
        select checkout.output_of(r.task) from checkout.resume_charges(p_shard_list, p_age_ms, p_limit) r))
$$;

create or replace function checkout.open_refunds(p_shard_list integer[], p_age_ms bigint, p_limit integer)
returns setof checkout.effect
language sql stable as $$
    select * from checkout.effects_of(array(
        select checkout.output_of(r.task) from checkout.resume_refunds(p_shard_list, p_age_ms, p_limit) r))
$$;

create or replace function checkout.request_webhook(p_order uuid, p_event text, p_type text) returns text
language plpgsql as $$
declare
    known record;
begin
    select o.status, o.shard into known from checkout.orders o where o.order_id = p_order;
    if known.status is not null then
        insert into checkout.commands (kind, shard, order_id, argument, requested_by)
        values ('webhook', known.shard, p_order, jsonb_build_object('event', p_event, 'type', p_type), 'gateway')
            on conflict ((argument ->> 'event')) where kind = 'webhook' do nothing;
    end if;
    return known.status;
end $$;

create or replace function checkout.beat(p_member bigint, p_ready boolean, p_backends integer[])
returns table (member_id bigint, name text, beat bigint, ready boolean, locked boolean)
language sql as $$
    select h.* from checkout.heartbeat(p_member, p_ready, p_backends, null, null) h
$$;

create or replace function checkout.show_members()
returns table (member_id bigint, name text, host text, pid integer, version text, beat bigint,
               beat_age_ms bigint, ready boolean, locked boolean, started_at timestamptz)
language sql stable as $$
    select m.member_id, m.name, m.host, m.pid, m.version, m.heartbeats, m.heartbeat_age_ms, m.ready, m.locked,
           m.started_at
      from checkout.list_members() m
$$;

-- Drops the indexes by which programs of the previous release find a customer's orders and an order's events; those of this
-- one find them by hashes (054_seconds.sql, 055_events_of_orders.sql). To be called by the owner when no program of the previous
-- release is left; the release after this one drops them, too. Waits for no lock for long: then it has dropped nothing, and may
-- be called again.
create or replace function checkout.drop_previous_indexes() returns void
language plpgsql set lock_timeout = '1500ms' as $$
begin
    lock table checkout.shards in exclusive mode;           -- keeps writers out, who could deadlock with this
    drop index if exists checkout.orders_by_user;
    alter table checkout.order_events drop constraint if exists order_events_pkey;
end $$;

-- No program needs them in a database that is new.
do $$ begin
    if not exists (select from checkout.orders) then
        perform checkout.drop_previous_indexes();
    end if;
end $$;
