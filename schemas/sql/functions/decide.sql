-- Deciding: new jobs, many at once, in their order.

-- Units that fit into `room` when taken in order, each whole or not at all.
create or replace function checkout.take_if_fits(taken bigint, units bigint, room bigint) returns bigint
language sql immutable parallel safe
return case when coalesce(taken, 0) + units <= room then coalesce(taken, 0) + units else coalesce(taken, 0) end;

create or replace aggregate checkout.taken(units bigint, room bigint) (
    sfunc = checkout.take_if_fits, stype = bigint
);

-- Decides jobs in their order. Arrays of equal length; p_flaws: null, or why the job is invalid.
-- p_wait_ms: how long an order may stay on the waitlist. The jobs of an item that is held up are set aside
-- (checkout.items_held_up), behind those that are there.
create or replace function checkout.decide_jobs(
    p_shards integer, p_shard integer, p_epoch bigint, p_wait_ms bigint,
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[], p_customers text[] default '{}', p_humans text[] default '{}',
    p_mail_tos text[] default '{}', p_locales text[] default '{}')
returns setof checkout.output
language plpgsql as $$
declare
    skipped text[];
    put bigint;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    skipped := checkout.items_held_up(p_shard, p_skus);
    if cardinality(skipped) > 0 then
        put := checkout.put_aside(
            p_shard, skipped, 'another session has locked the item''s row', p_ids, p_users, p_skus, p_quantities,
            p_methods, p_emails, p_prices, p_references, p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales);
        if put > 0 then
            return next checkout.output_of(checkout.set_aside_news(put, skipped[1], 'another session has locked the item''s row'));
        end if;
    end if;
    return query
    select * from checkout.decide_now(
        p_shards, p_shard, p_wait_ms, skipped, p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices,
        p_references, p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales);
end $$;

-- The orders among these that were decided (and may be purged since), or whose jobs were set aside.
create or replace function checkout.known_jobs(p_shard integer, p_ids uuid[]) returns uuid[]
language plpgsql stable as $$
declare
    known constant uuid[] := array(select o.order_id from checkout.orders o where o.order_id = any (p_ids)
                                   union all
                                   select p.order_id from checkout.purged_orders p where p.order_id = any (p_ids));
begin
    if exists (select 1 from checkout.items_aside a where a.shard = p_shard) then
        return known || array(select a.order_id from checkout.jobs_aside a where a.order_id = any (p_ids));
    end if;
    return known;
end $$;

-- What becomes of those that are neither of the items p_held, nor decided, nor set aside; ret_waits: an item of these
-- has a waitlist, or gets one. The caller holds the fence, and the rows of the other items.
--
-- Each job looks its item up in a subquery of its own, which no plan can turn into reading all items: see planner.sql.
create or replace function checkout.judge_jobs(
    p_shards integer, p_shard integer, p_wait_ms bigint, p_held text[],
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[], p_customers text[], p_humans text[],
    p_mail_tos text[], p_locales text[], out ret_moves checkout.move[], out ret_waits boolean)
language plpgsql as $$
declare
    place checkout.shards;
    known constant uuid[] := checkout.known_jobs(p_shard, p_ids);
    cancels constant uuid[] := array(select c.order_id from checkout.commands c
                                      where c.order_id = any (p_ids) and c.kind = 'cancel' and c.state = 'pending');
begin
    select * into place from checkout.shards s where s.shards = p_shards and s.shard = p_shard;
    with job as (           -- each once, and only those not decided before
        select j.*, least(j.accepted_at, now()) as stamp     -- later than our clock: counts as our clock
          from (select distinct on (u.order_id) u.*
                  from unnest(p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices,
                              p_references, p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales)
                       with ordinality
                       as u(order_id, user_id, sku, quantity, payment_method, receipt_email, unit_price,
                            reference, accepted_at, fingerprint, traceparent, flaw, gateway_customer, human, mail_to,
                            locale, n)
                 order by u.order_id, u.n) j
         where j.order_id <> all (known) and (j.sku = any (p_held)) is not true),
    checked as (            -- what each job's fate is but for limits and stock
        select j.*, i.clock, i.price, i.currency, i.next_ticket, i.waiting as ahead, i.limit_per_user,
               i.paused or place.paused as paused, i.stock - i.sold as servable,
               i.stock - i.sold - i.held as free,
               case when j.order_id = any (cancels) then 'cancelled'
                    when j.flaw is not null then 'invalid'
                    when i.sku is null then 'unknown_item'
                    when i.opens_at > j.stamp or i.closes_at <= j.stamp then 'not_on_sale'
                    when not coalesce(i.challenge = any (string_to_array(j.human, ' ')), i.challenge is null)
                         then 'challenge_required'
                    when j.unit_price <> i.price then 'price_changed'
               end as refusal,
               i.limit_per_user - case when i.limit_per_user is null then null else
                   coalesce((select u.units from checkout.customer_units u
                              where u.sku = j.sku and u.user_id = j.user_id), 0)
                   + case when forgets.salt is null then 0 else
                   coalesce((select f.units from checkout.forgotten_units f
                              where f.sku = j.sku and f.buyer = checkout.digest_of(j.user_id, forgets.salt)), 0) end end as room
          from job j
          left join lateral (select x.*, checkout.item_clock(x, place) as clock from checkout.items x
                              where x.sku = j.sku and x.shard = p_shard limit 1) i on true
          left join lateral (select case when i.limit_per_user is not null then (
                                 select s.salt::text from checkout.forget_salt s
                                  where exists (select 1 from checkout.forgotten_units)) end as salt) forgets on true),
    limited as (
        select c.*,
               c.refusal is null and c.limit_per_user is not null and c.quantity + coalesce(
                   checkout.taken(c.quantity, c.room)
                       filter (where c.refusal is null and c.quantity <= c.servable)
                       over (partition by c.sku, c.user_id order by c.n
                             rows between unbounded preceding and 1 preceding), 0) > c.room
               as above_limit
          from checked c),
    stocked as (
        select l.*,
               l.refusal is null and not l.above_limit and l.quantity <= l.servable as eligible,
               sum(l.quantity) filter (where l.refusal is null and not l.above_limit
                                         and l.quantity <= l.servable)
                   over (partition by l.sku order by l.n) as units
          from limited l),
    fate as (               -- once one waits, everyone behind waits too: `units` only grows
        select t.*,
               case when t.refusal = 'cancelled' then 'cancelled'
                    when not t.eligible then 'rejected'
                    when not t.paused and t.ahead = 0 and t.units <= t.free then 'reserved'
                    else 'waiting' end as status,
               coalesce(nullif(t.refusal, 'cancelled'),
                        case when t.above_limit then 'limit_exceeded'
                             when not t.eligible and t.refusal is null then 'sold_out' end) as reason
          from stocked t),
    decided as (
        select f.*, count(*) filter (where f.status = 'waiting') over (partition by f.sku order by f.n)
                    as nth_waiting
          from fate f)
    select array_agg(row(d.order_id, null, d.status, d.reason,
                         case when d.status = 'waiting' then d.next_ticket + d.nth_waiting - 1 end,
                         case when d.status = 'waiting' then d.ahead + d.nth_waiting end,
                         d.clock + p_wait_ms * interval '1 ms', d.user_id, d.sku, d.quantity,
                         d.price * d.quantity, d.currency, d.fingerprint, d.reference, d.receipt_email,
                         d.payment_method, d.traceparent, d.stamp, null, null,
                         d.gateway_customer, d.mail_to, d.locale)::checkout.move order by d.n),
           bool_or(d.status = 'waiting' or d.ahead > 0)
      into ret_moves, ret_waits from decided d;
end $$;

-- Decides those that are neither of the items p_held nor set aside. The caller holds the fence, and the rows of the
-- other items.
create or replace function checkout.decide_now(
    p_shards integer, p_shard integer, p_wait_ms bigint, p_held text[],
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[], p_customers text[], p_humans text[],
    p_mail_tos text[], p_locales text[])
returns setof checkout.output
language plpgsql as $$
declare
    moves checkout.move[];
    waits boolean;
    touched text;
begin
    select j.ret_moves, j.ret_waits into moves, waits
      from checkout.judge_jobs(
          p_shards, p_shard, p_wait_ms, p_held, p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices,
          p_references, p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales) j;

    return query
    with moved as materialized (
        select * from checkout.move_orders(p_shard, moves)),
    joined as (
        insert into checkout.waitlist (sku, ticket, order_id, shard, quantity, expires_at)
        select m.sku, m.ticket, m.order_id, p_shard, m.quantity, m.expires_at
          from unnest(moves) m where m.status = 'waiting'),
    cancelled as (
        update checkout.commands c
           set state = 'done', shard = p_shard, result = 'cancelled before it was decided',
               finished_at = now()
          from moved m
         where m.status = 'cancelled' and c.state || '' = 'pending'   -- by its id, not through all such
           and c.command_id = (select p.command_id from checkout.commands p where p.order_id = m.order_id
                                  and p.kind = 'cancel' and p.state = 'pending')),
    intent as (
        insert into checkout.payments (order_id, shard, state, amount, currency, idempotency_key)
        select m.order_id, p_shard, 'open', m.amount, m.currency, m.order_id || '-1'
          from moved m where m.status = 'reserved'),
    item as (
        update checkout.items i
           set held = i.held + s.units, waiting = i.waiting + s.waiters,
               next_ticket = i.next_ticket + s.waiters
          from (select m.sku, coalesce(sum(m.quantity) filter (where m.status = 'reserved'), 0)::integer
                           as units,
                       (count(*) filter (where m.status = 'waiting'))::integer as waiters
                  from moved m where m.status in ('waiting', 'reserved') group by m.sku) s
         where i.sku = s.sku)
    select checkout.charge_task(m.order_id, 1, m.amount, m.currency, m.sku, m.payment_method, m.receipt_email,
                                0, null,
                                checkout.opaque_customer(m.user_id, (select s.salt from checkout.forget_salt s)),
                                null, null, 0, m.gateway_customer, m.quantity, m.reference, m.traceparent),
           null::checkout.news
      from moved m where m.status = 'reserved'
    union all
    select null, checkout.transition_news(m.status, m.reason, count(*))
      from moved m group by m.status, m.reason;

    if cardinality(moves) = cardinality(p_ids) and waits is not true then
        return;             -- each job was new, and no item has a waitlist
    end if;

    return query            -- a retry with another body: the first counts
    select null::checkout.task, checkout.conflict_news(o.order_id, o.sku)
      from unnest(p_ids, p_fingerprints) as u(order_id, fingerprint)
      join checkout.orders o on o.order_id = u.order_id
     where o.fingerprint <> u.fingerprint
    union all
    select null, checkout.conflict_news(a.order_id, a.sku)
      from unnest(p_ids, p_fingerprints) as u(order_id, fingerprint)
      join checkout.jobs_aside a on a.order_id = u.order_id
     where a.fingerprint <> u.fingerprint;

    for touched in          -- nothing here frees a unit, so this only mends
        select i.sku from checkout.items i
         where i.sku = any (p_skus) and i.waiting > 0 and i.shard = p_shard and not i.sku = any (p_held)
           and (i.stock - i.sold = 0 or i.stock - i.sold - i.held > 0) order by i.sku
    loop
        return query select * from checkout.settle_waiting(p_shards, touched, 64);
    end loop;
end $$;
