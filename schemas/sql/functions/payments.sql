-- Payments: their ends, what is open, and what a person says of those that stay unclear.

-- Records outcomes (arrays of equal length):
--   captured            the order is confirmed
--   declined, failed    rejected: the units go to the next on the waitlist; p_problems, p_params: what its buyer can do
--   cancelled           ... as its buyer wished, at the bank
--   other_sum           failed; p_amounts was taken by the intent, and goes back
--   superseded          this attempt took no money, and the next one has its own intent and key
--   unclear             it goes on, and this is recorded
--   action              its buyer is to act (p_actions), for p_amounts milliseconds: see checkout.await_buyers
-- A payment that has ended before is left alone. No order ends twice.
create or replace function checkout.settle_payments(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_intents text[], p_codes text[],
    p_amounts bigint[] default '{}', p_problems text[] default '{}', p_params text[] default '{}',
    p_actions text[] default '{}')
returns setof checkout.output
language plpgsql as $$
declare
    touched text;
    taken record;
    skus text[];
    skipped text[];
    moves checkout.move[];
    charges checkout.task[];
    news checkout.news[];
    changed bigint;         -- of the items, and how many wait for one of these
    waiting bigint;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    select coalesce(array_agg(distinct o.sku), '{}') into skus
      from checkout.orders o where o.order_id = any (p_ids) and o.shard = p_shard;
    skipped := checkout.lock_items(p_shard, skus);
    if cardinality(skipped) > 0 then
        return query select * from checkout.not_recorded(p_ids, p_attempts, skipped);
        p_ids := checkout.not_of_items(p_ids, skipped);
    end if;

    if 'action' = any (p_states) then
        return query
        select a.* from checkout.await_buyers(p_shard, p_ids, p_attempts, p_states, p_intents,
            array(select jsonb_build_object('wait_ms', u.wait_ms, 'action', u.action::jsonb)::text
                    from unnest(p_amounts, p_actions) with ordinality as u(wait_ms, action, n) order by u.n)) a;
    end if;

    with ended as (
        update checkout.payments p
           set state = case u.state when 'captured' then 'captured' when 'declined' then 'declined'
                                    when 'cancelled' then 'declined' else 'failed' end,
               intent_id = coalesce(u.intent_id, p.intent_id), code = u.code, updated_at = now(), action = null,
               look_at = case when u.state in ('superseded', 'failed', 'other_sum')
                                   or u.state = 'captured' and coalesce(u.intent_id, p.intent_id) is null
                              then now() + checkout.next_look(0) end
          from unnest(p_ids, p_attempts, p_states, p_intents, p_codes, p_problems, p_params)
               as u(order_id, attempt, state, intent_id, code, problem, param)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state not in ('unclear', 'action')
           and p.state || '' = 'open'   -- not by the index of all open ones
           and p.shard + 0 = p_shard
        returning p.order_id, p.attempt, u.problem, u.param,
                  -- what an operator has called not captured is not tried again, nor is a third attempt
                  case when u.state = 'superseded'
                            and (p.resolution in ('not-captured', 'release') or p.attempt >= 3) then 'failed'
                       else u.state end as state),
    noted as (              -- not what ends in this very statement
        update checkout.payments p
           set unclear_since = coalesce(p.unclear_since, now()), code = u.code, updated_at = now(),
               intent_id = coalesce(u.intent_id, p.intent_id)
          from unnest(p_ids, p_attempts, p_states, p_intents, p_codes)
               as u(order_id, attempt, state, intent_id, code)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state = 'unclear'
           and p.state || '' = 'open' and p.shard + 0 = p_shard
           and not exists (select 1 from unnest(p_ids, p_states) as e(order_id, state)
                            where e.order_id = u.order_id and e.state not in ('unclear', 'action'))),
    again as (
        insert into checkout.payments (order_id, attempt, shard, state, amount, currency, idempotency_key)
        select o.order_id, e.attempt + 1, o.shard, 'open', o.amount, o.currency,
               o.order_id || '-' || e.attempt + 1
          from ended e join checkout.orders o on o.order_id = e.order_id
         where e.state = 'superseded' and o.status = 'reserved'
        returning order_id, attempt)
    select (select array_agg(checkout.move_of(
                       e.order_id, 'reserved',
                       case e.state when 'captured' then 'confirmed' when 'cancelled' then 'cancelled' else 'rejected' end,
                       case e.state when 'declined' then 'payment_declined'
                                    when 'failed' then 'payment_failed' when 'other_sum' then 'payment_failed' end,
                       case when e.state not in ('captured', 'cancelled') then e.problem end,
                       case when e.state not in ('captured', 'cancelled') then e.param end))
              from ended e where e.state <> 'superseded'),
           (select array_agg(checkout.charge_task(a.order_id, a.attempt, o.amount, o.currency, o.sku,
                                                  o.payment_method, o.receipt_email, 0, null,
                                                  checkout.opaque_customer(o.user_id, (select s.salt from checkout.forget_salt s)), null, null,
                                                  checkout.age_ms(f.created_at), o.gateway_customer, o.quantity,
                                                  o.reference, o.traceparent))
              from again a
              join checkout.orders o on o.order_id = a.order_id
              join checkout.payments f on f.order_id = a.order_id and f.attempt = 1)
      into moves, charges;

    with moved as materialized (
        select m.sku, m.status, m.reason, m.quantity from checkout.move_orders(p_shard, moves) m),
    item as (
        update checkout.items i
           set held = i.held - s.units, sold = i.sold + s.sold_units
          from (select m.sku, sum(m.quantity)::integer as units,
                       coalesce(sum(m.quantity) filter (where m.status = 'confirmed'), 0)::integer
                           as sold_units
                  from moved m group by m.sku) s
         where i.sku = s.sku
        returning i.sku, i.waiting)
    select array(select checkout.transition_news(m.status, m.reason, count(*)) from moved m group by m.status, m.reason),
           (select count(*) from item), (select coalesce(sum(i.waiting), 0) from item i)
      into news, changed, waiting;
    return query
    select null::checkout.task, n from unnest(news) n
    union all
    select c, null from unnest(charges) c;

    for taken in
        select u.order_id, u.intent_id, u.amount
          from unnest(p_ids, p_states, p_intents, p_amounts) as u(order_id, state, intent_id, amount)
         where u.state = 'other_sum' and u.intent_id is not null and u.order_id is not null
    loop
        return query select * from checkout.refund_late_capture(taken.order_id, taken.intent_id, taken.amount);
    end loop;

    if changed = cardinality(skus) and waiting = 0 then
        return;             -- each item's row was just seen, and none has a waitlist
    end if;
    for touched in
        select i.sku from checkout.items i
         where i.sku = any (skus) and not i.sku = any (skipped) and i.waiting > 0 order by i.sku
    loop
        return query select * from checkout.settle_waiting(p_shards, touched, 64);
    end loop;
end $$;

-- Open payments of shards that are older than p_age_ms, the oldest first: after a take-over all of them (0), later
-- only those that the owner's memory may have lost. p_after, p_after_attempt: those behind this one; null: from the first.
create or replace function checkout.resume_charges(
    p_shard_list integer[], p_age_ms bigint, p_limit integer, p_after uuid default null, p_after_attempt integer default null)
returns table (shard integer, task checkout.task)
language plpgsql stable as $$
declare
    after_at constant timestamptz := coalesce(
        (select created_at from checkout.payments where order_id = p_after and attempt = p_after_attempt), '-infinity');
begin
    return query
    select q.shard, checkout.charge_task(p, o)
      from (select r.* from unnest(p_shard_list) s
             cross join lateral (select t.shard, t.order_id, t.attempt, t.created_at from checkout.payments t
                                  where t.shard = s and t.state = 'open' and t.created_at >= after_at
                                    and (p_after is null or (t.created_at, t.order_id) > (after_at, p_after))
                                    and (t.created_at <= now() - p_age_ms * interval '1 ms'
                                         or t.created_at > now() or p_age_ms = 0)   -- the clock may have been set back
                                  order by t.created_at, t.order_id limit p_limit) r
             order by r.created_at, r.order_id limit p_limit) q
      cross join lateral (select * from checkout.payments
                           where order_id = q.order_id and attempt = q.attempt limit 1) p
      cross join lateral (select * from checkout.orders where order_id = q.order_id limit 1) o
     order by q.created_at, q.order_id;
end $$;

-- Open payments and refunds that asking the gateway has not cleared up, and refunds that failed, the oldest first.
create or replace function checkout.unclear_payments(p_limit integer)
returns table (order_id uuid, attempt integer, what text, sku text, amount bigint, currency text, code text,
               resolution text, unclear_s bigint, key_age_s bigint)
language plpgsql stable as $$
begin
    return query
    select u.order_id, u.attempt, u.what, o.sku, u.amount, u.currency, u.code, u.resolution,
           extract(epoch from now() - u.unclear_since)::bigint, extract(epoch from now() - u.since)::bigint
      from ((select p.order_id, p.attempt, 'charge' as what, p.amount, p.currency, p.code, p.resolution,
                    p.unclear_since, p.created_at as since
               from checkout.payments p
              where p.state = 'open' and p.unclear_since is not null
              order by p.unclear_since limit p_limit)
            union all
            (select r.order_id, r.attempt, case when r.try_at is null then 'refund' else 'refund later' end, r.amount,
                    r.currency, r.code, null, r.unclear_since, r.key_since
               from checkout.refunds r
              where r.state = 'open' and r.unclear_since is not null
              order by r.unclear_since limit p_limit)
            union all
            (select f.order_id, f.attempt, 'refund failed', f.amount, f.currency, f.code, null, f.since, f.since
               from checkout.failed_refunds() f order by f.since limit p_limit)) u
      join checkout.orders o on o.order_id = u.order_id
     order by u.unclear_since limit p_limit;
end $$;

-- An operator says whether an unclear payment was captured: {"outcome", "note"}, or that the money of a refund that failed
-- went back (refunded: checkout.resolve_refunded). It is durable here; the
-- owner acts on it (and a new owner finds it with the open payment): what was not captured is cancelled at
-- the gateway before its unit goes on, and a definite answer of the gateway still counts for more.
create or replace function checkout.run_resolve(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    p checkout.payments;
    outcome text := c.argument ->> 'outcome';
begin
    if outcome = 'refunded' then
        return query select * from checkout.resolve_refunded(c);
        return;
    end if;
    select * into p from checkout.payments where order_id = c.order_id order by attempt desc limit 1;
    if not found then
        return next checkout.command_end(c, 'refused', 'no payment was begun for such an order');
    elsif p.state <> 'open' then
        return next checkout.command_end(c, 'refused', 'its payment has ended: ' || p.state);
    elsif p.unclear_since is null then
        return next checkout.command_end(c, 'refused', 'its payment is under way, and nothing is unclear about it yet');
    elsif outcome is null or outcome not in ('captured', 'not-captured', 'release') then
        return next checkout.command_end(c, 'refused', 'the outcome is captured, not-captured, release or refunded');
    else
        update checkout.payments set resolution = outcome, updated_at = now()
         where order_id = p.order_id and attempt = p.attempt
        returning * into p;
        return query
        select checkout.charge_task(p, o), null::checkout.news from checkout.orders o where o.order_id = p.order_id;
        return next checkout.command_end(c, 'done', case outcome
            when 'captured' then 'recorded: the order is confirmed, unless the gateway says otherwise now'
            when 'release' then 'recorded: the order fails, its unit goes on, and money that is taken late goes back'
            else 'recorded: cancelled at the gateway first, then the unit goes to the next on the waitlist' end);
    end if;
end $$;
