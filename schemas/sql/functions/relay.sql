-- The outbox: events to relay, and how far they are relayed; what the producer may know of items.

-- The next events of a shard to relay, in commit order: those that a milestone in RabbitMQ covers (milestones.sql).
create or replace function checkout.unrelayed(p_shard integer, p_after bigint, p_limit integer)
returns table (event_id bigint, user_id text, sequence integer, time_ms bigint, order_id uuid, sku text,
               quantity integer, status text, reason text, place_in_line bigint, amount bigint,
               currency text, reference text, next_action text, payment_problem text, param text,
               traceparent text)
language plpgsql stable as $$
declare
    last constant bigint := coalesce(checkout.announce_limit(), 9223372036854775807);
begin
    return query
    select e.event_id, o.user_id, e.sequence, (extract(epoch from e.created_at) * 1000)::bigint,
           e.order_id, o.sku, o.quantity, e.status, e.reason, e.place_in_line, o.amount, o.currency,
           o.reference, checkout.next_action(o.order_id, e.status, e.sequence, o.sequence),
           case e.status when 'rejected' then o.payment_problem end,
           case e.status when 'rejected' then o.payment_param end, o.traceparent
      from checkout.order_events e
      cross join lateral (select * from checkout.orders where orders.order_id = e.order_id limit 1) o
     where e.shard = p_shard and checkout.span_of(e.event_id) between checkout.span_of(p_after) and checkout.span_of(last)
       and e.event_id > p_after and e.event_id <= last
     order by checkout.span_of(e.event_id), e.event_id limit p_limit;
end $$;

-- Whether an event has waited for longer than p_ms to be relayed: its shard's consumer does not reach Redis, or none
-- serves it. The notifiers show events themselves then.
create or replace function checkout.relay_lags(p_ms bigint) returns boolean
language plpgsql stable as $$
begin
    return exists (
        select 1 from checkout.service v
         cross join lateral generate_series(0, v.shards - 1) s(shard)
          join checkout.relays r on r.shard = s.shard
         cross join lateral (select e.created_at from checkout.order_events e
                              where e.shard = s.shard and checkout.span_of(e.event_id) >= checkout.span_of(r.relayed_to)
                                and e.event_id > r.relayed_to
                              order by checkout.span_of(e.event_id), e.event_id limit 1) e
         where e.created_at < clock_timestamp() - p_ms * interval '1 ms');
end $$;

-- Remembers how far shards are relayed, and since when; never goes back. What was relayed 30 days ago is
-- forgotten, a few rows at a time: the oldest of a shard are the first of the index.
create or replace function checkout.advance_relays(p_shard_list integer[], p_marks bigint[]) returns void
language sql as $$
    with moved as (
        update checkout.relays r set relayed_to = u.mark
          from unnest(p_shard_list, p_marks) as u(shard, mark)
         where r.shard = u.shard and r.relayed_to < u.mark
        returning r.shard, r.relayed_to),
    forgotten as (
        delete from checkout.relay_log l
         using moved m
          cross join lateral (select o.relayed_to, o.saved_at from checkout.relay_log o
                               where o.shard = m.shard order by o.relayed_to limit 8) old
         where l.shard = m.shard and l.relayed_to = old.relayed_to
           and old.saved_at < now() - interval '30 days')
    insert into checkout.relay_log (shard, relayed_to)
    select m.shard, m.relayed_to from moved m on conflict do nothing
$$;

-- What the producer may know of items of these shards: of those in p_skus, and (up to p_limit) of all that
-- are locked while somebody buys them.
create or replace function checkout.gate_states(p_shard_list integer[], p_skus text[], p_limit integer)
returns table (sku text, shard integer, gate text, state text)
language plpgsql stable as $$
begin
    return query
    select i.sku, i.shard, i.gate, case when i.stock = i.sold then 'sold' else 'open' end
      from (select l.sku from (select c.sku from checkout.items c
                                where c.gate = 'lock' and c.shard = any (p_shard_list) limit p_limit) l
            union
            select u.sku from unnest(p_skus) as u(sku)) w
      join checkout.items i on i.sku = w.sku
     where i.shard = any (p_shard_list);
end $$;

-- A page of the items of these shards: up to p_limit steps in the order of shards and SKUs, behind an item; fewer: it
-- is the last one. A step over a shard that is not asked for has an item, too (own is false).
create or replace function checkout.page_of_items(p_shard_list integer[], p_after_shard integer, p_after text, p_limit integer)
returns table (shard integer, sku text, own boolean)
language plpgsql stable as $$
begin
    return query
    with recursive page as (
        (select i.shard, i.sku, 1 as step from checkout.items i
          where (i.shard + 0, i.sku) > (p_after_shard, p_after) order by i.shard + 0, i.sku limit 1)
        union all
        select n.shard, n.sku, page.step + 1
          from page
          cross join lateral (select case when page.shard = any (p_shard_list) then page.shard
                                          else (select min(s) from unnest(p_shard_list) s where s > page.shard) end as shard,
                                     case when page.shard = any (p_shard_list) then page.sku else '' end as sku) behind
          cross join lateral (select i.shard, i.sku from checkout.items i
                               where (i.shard + 0, i.sku) > (behind.shard, behind.sku)
                               order by i.shard + 0, i.sku limit 1) n
         where page.step < p_limit)
    select page.shard, page.sku, page.shard = any (p_shard_list) from page order by page.step;
end $$;
