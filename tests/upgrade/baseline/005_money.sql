-- Money: what becomes of payments beside their settlement (checkout.settle).

-- Lets the clock of a shard go on, unless something stops it still. The caller holds the fence.
create function checkout.run_clock(p_shards integer, p_shard integer) returns void
language sql as $$
    update checkout.shards
       set stopped_at = null,
           stopped_ms = stopped_ms + extract(epoch from now() - stopped_at) * 1000
     where shards = p_shards and shard = p_shard and stopped_at is not null
       and not paused and payments_stopped is null
$$;

-- Payments of a shard are stopped (p_why: the gateway refuses us, or fails), or go on (null). Nobody's
-- waiting time passes while they are stopped. Writes nothing if that is known.
create function checkout.stop_payments(p_shards integer, p_shard integer, p_epoch bigint, p_why text)
returns void
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    update checkout.shards
       set payments_stopped = p_why,
           stopped_at = case when p_why is null then stopped_at else coalesce(stopped_at, now()) end
     where shards = p_shards and shard = p_shard and payments_stopped is distinct from p_why;
    if found and p_why is null then
        perform checkout.run_clock(p_shards, p_shard);
    end if;
end $$;

-- ---------------------------------------------------------------------------------------------------
-- Payments whose end nobody but a person can tell
-- ---------------------------------------------------------------------------------------------------

-- Open payments and refunds that asking the gateway has not cleared up, the oldest first.
create function checkout.unclear_payments(p_limit integer)
returns table (order_id uuid, attempt integer, what text, sku text, amount bigint, currency text, code text,
               resolution text, unclear_s bigint, key_age_s bigint)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
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

-- An operator wants something of an order. No row: there is no such order.
create function checkout.request_order_command(p_kind text, p_order uuid, p_argument jsonb,
                                               p_requested_by text)
returns table (command_id bigint, shard integer)
language sql as $$
    insert into checkout.commands (kind, shard, order_id, argument, requested_by)
    select p_kind, o.shard, o.order_id, p_argument, p_requested_by
      from checkout.orders o where o.order_id = p_order
    returning command_id, shard
$$;

-- An operator says whether an unclear payment was captured: {"outcome", "note"}. It is durable here; the
-- owner acts on it (and a new owner finds it with the open payment): what was not captured is cancelled at
-- the gateway before its unit goes on, and a definite answer of the gateway still counts for more.
create function checkout.do_resolve(c checkout.commands) returns setof checkout.effect
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    p checkout.payments;
    outcome text := c.argument ->> 'outcome';
begin
    select * into p from checkout.payments where order_id = c.order_id order by attempt desc limit 1;
    if not found then
        return next checkout.command_result('refused', 'no payment was begun for such an order');
    elsif p.state <> 'open' then
        return next checkout.command_result('refused', 'its payment has ended: ' || p.state);
    elsif p.unclear_since is null then
        return next checkout.command_result('refused', 'its payment is under way, and nothing is unclear about it yet');
    elsif outcome is null or outcome not in ('captured', 'not-captured') then
        return next checkout.command_result('refused', 'the outcome is captured or not-captured');
    else
        update checkout.payments set resolution = outcome, updated_at = now()
         where order_id = p.order_id and attempt = p.attempt;
        return query
        select 'pay', p.order_id, p.attempt, p.amount, p.currency, o.payment_method, o.receipt_email, o.sku,
               greatest(0, (extract(epoch from now() - p.created_at) * 1000)::bigint)::text, outcome
          from checkout.orders o where o.order_id = p.order_id;
        return next checkout.command_result('done', case outcome
            when 'captured' then 'recorded: the order is confirmed, unless the gateway says otherwise now'
            else 'recorded: cancelled at the gateway first, then the unit goes to the next in line' end);
    end if;
end $$;
