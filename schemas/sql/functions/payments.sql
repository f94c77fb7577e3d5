-- Payments: their ends, what is open, and what a person says of those that stay unclear.

-- Ends payments and their orders: p_states 'captured' (confirmed), 'declined' or 'failed' (rejected, the
-- units go to the next in line). 'superseded': this attempt has failed without taking money, and the next
-- one has its own intent and key. 'unclear': it goes on, and this is recorded. 'action': see
-- checkout.await_buyers. A payment that has ended before is left alone. No order ends twice.
create or replace function checkout.settle_payments(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_intents text[], p_codes text[])
returns setof checkout.output
language plpgsql as $$
declare
    touched text;
    skus text[];
    moves checkout.move[];
    charges checkout.task[];
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    select coalesce(array_agg(distinct o.sku), '{}') into skus
      from checkout.orders o where o.order_id = any (p_ids) and o.shard = p_shard;
    perform 1 from checkout.items where sku = any (skus) order by sku for update;

    if 'action' = any (p_states) then
        return query select * from checkout.await_buyers(p_shard, p_ids, p_attempts, p_states, p_intents, p_codes);
    end if;

    with ended as (
        update checkout.payments p
           set state = case u.state when 'superseded' then 'failed' else u.state end,
               intent_id = u.intent_id, code = u.code, updated_at = now(), action = null,
               look_at = case when u.state = 'superseded' or u.state = 'failed' and u.code = 'resolved'
                                   or u.state = 'captured' and u.intent_id is null
                              then now() + checkout.next_look(0) end
          from unnest(p_ids, p_attempts, p_states, p_intents, p_codes)
               as u(order_id, attempt, state, intent_id, code)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state not in ('unclear', 'action')
           and p.state || '' = 'open'   -- not by the index of all open ones
           and p.shard + 0 = p_shard
        returning p.order_id, p.attempt,    -- what an operator has called not captured is not tried again
                  case when u.state = 'superseded' and p.resolution = 'not-captured' then 'failed'
                       else u.state end as state),
    noted as (              -- not what ends in this very statement
        update checkout.payments p
           set unclear_since = coalesce(p.unclear_since, now()), code = u.code, updated_at = now()
          from unnest(p_ids, p_attempts, p_states, p_codes) as u(order_id, attempt, state, code)
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
                       e.order_id, 'reserved', case e.state when 'captured' then 'confirmed' else 'rejected' end,
                       case e.state when 'declined' then 'payment_declined'
                                    when 'failed' then 'payment_failed' end))
              from ended e where e.state <> 'superseded'),
           (select array_agg(checkout.charge_task(a.order_id, a.attempt, o.amount, o.currency, o.sku,
                                                  o.payment_method, o.receipt_email, 0, null))
              from again a join checkout.orders o on o.order_id = a.order_id)
      into moves, charges;

    return query
    with moved as materialized (
        select * from checkout.move_orders(p_shard, moves)),
    item as (
        update checkout.items i
           set held = i.held - s.units, sold = i.sold + s.sold_units
          from (select m.sku, sum(m.quantity)::integer as units,
                       coalesce(sum(m.quantity) filter (where m.status = 'confirmed'), 0)::integer
                           as sold_units
                  from moved m group by m.sku) s
         where i.sku = s.sku)
    select null::checkout.task, checkout.transition_news(m.status, m.reason, count(*))
      from moved m group by m.status, m.reason
    union all
    select c, null from unnest(charges) c;

    for touched in
        select sku from checkout.items where sku = any (skus) and waiting > 0 order by sku
    loop
        return query select * from checkout.settle_waiting(p_shards, touched, 64);
    end loop;
end $$;

-- Open payments of shards that are older than p_age_ms: after a take-over all of them (0), later only
-- those that the owner's memory may have lost.
create or replace function checkout.resume_charges(p_shard_list integer[], p_age_ms bigint, p_limit integer)
returns table (shard integer, task checkout.task)
language plpgsql stable as $$
begin
    return query
    select p.shard, checkout.charge_task(p.order_id, p.attempt, p.amount, p.currency, o.sku, o.payment_method,
                                         o.receipt_email, checkout.age_ms(p.created_at), p.resolution)
      from checkout.payments p
      cross join lateral (select * from checkout.orders where order_id = p.order_id limit 1) o
     where p.shard = any (p_shard_list) and p.state = 'open'
       and (p.created_at <= now() - p_age_ms * interval '1 ms'
            or p.created_at > now() or p_age_ms = 0)    -- the clock may have been set back
     order by p.created_at limit p_limit;
end $$;

-- Open payments and refunds that asking the gateway has not cleared up, the oldest first.
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
            (select r.order_id, r.attempt, 'refund', r.amount, r.currency, r.code, null, r.unclear_since,
                    r.key_since
               from checkout.refunds r
              where r.state = 'open' and r.unclear_since is not null
              order by r.unclear_since limit p_limit)) u
      join checkout.orders o on o.order_id = u.order_id
     order by u.unclear_since limit p_limit;
end $$;

-- An operator says whether an unclear payment was captured: {"outcome", "note"}. It is durable here; the
-- owner acts on it (and a new owner finds it with the open payment): what was not captured is cancelled at
-- the gateway before its unit goes on, and a definite answer of the gateway still counts for more.
create or replace function checkout.run_resolve(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    p checkout.payments;
    outcome text := c.argument ->> 'outcome';
begin
    select * into p from checkout.payments where order_id = c.order_id order by attempt desc limit 1;
    if not found then
        return next checkout.command_end(c, 'refused', 'no payment was begun for such an order');
    elsif p.state <> 'open' then
        return next checkout.command_end(c, 'refused', 'its payment has ended: ' || p.state);
    elsif p.unclear_since is null then
        return next checkout.command_end(c, 'refused', 'its payment is under way, and nothing is unclear about it yet');
    elsif outcome is null or outcome not in ('captured', 'not-captured') then
        return next checkout.command_end(c, 'refused', 'the outcome is captured or not-captured');
    else
        update checkout.payments set resolution = outcome, updated_at = now()
         where order_id = p.order_id and attempt = p.attempt;
        return query
        select checkout.charge_task(p.order_id, p.attempt, p.amount, p.currency, o.sku, o.payment_method,
                                    o.receipt_email, checkout.age_ms(p.created_at), outcome), null::checkout.news
          from checkout.orders o where o.order_id = p.order_id;
        return next checkout.command_end(c, 'done', case outcome
            when 'captured' then 'recorded: the order is confirmed, unless the gateway says otherwise now'
            else 'recorded: cancelled at the gateway first, then the unit goes to the next in line' end);
    end if;
end $$;
