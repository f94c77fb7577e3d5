-- The operators' page: all that it shows, in one answer.

-- How long it took from the producer's 202 to the decision, and to the money, in ms: of the newest 1000 orders that were
-- decided, and of the newest 1000 that were confirmed, in the last 10 s. Null: there were none.
create or replace function checkout.delays_now(
    out decision_p50_ms bigint, out decision_p95_ms bigint, out sale_p50_ms bigint, out sale_p95_ms bigint)
language plpgsql stable as $$
begin
    select percentile_disc(0.5) within group (order by n.ms), percentile_disc(0.95) within group (order by n.ms)
      into decision_p50_ms, decision_p95_ms
      from (select greatest(0, extract(epoch from o.created_at - o.accepted_at) * 1000)::bigint as ms
              from checkout.orders o
             where checkout.second_of(o.created_at) between checkout.second_of(now() - interval '10 s') and checkout.second_of(now())
               and o.created_at > now() - interval '10 s' and o.created_at <= now()
             order by checkout.second_of(o.created_at) desc, o.created_at desc limit 1000) n;
    select percentile_disc(0.5) within group (order by n.ms), percentile_disc(0.95) within group (order by n.ms)
      into sale_p50_ms, sale_p95_ms
      from (select greatest(0, extract(epoch from e.created_at - o.accepted_at) * 1000)::bigint as ms
              from (select c.order_id, c.created_at from checkout.order_events c
                     where c.status = 'confirmed'
                       and checkout.second_of(c.created_at) between checkout.second_of(now() - interval '10 s') and checkout.second_of(now())
                       and c.created_at > now() - interval '10 s' and c.created_at <= now()
                     order by checkout.second_of(c.created_at) desc, c.created_at desc limit 1000) e
              join checkout.orders o on o.order_id = e.order_id) n;
end $$;

-- What people asked for, newest first, here and by checkoutctl: who, when, what, why, and what came of it. What buyers and
-- the gateway asked for is not in it. Of the newest 200 requests, the items that were made.
create or replace function checkout.show_changes(p_limit integer)
returns table (at timestamptz, requested_by text, kind text, sku text, order_id uuid, shard integer, wish text, note text,
               state text, result text, finished_at timestamptz)
language plpgsql stable as $$
begin
    return query
    select c.created_at, c.requested_by, c.kind, c.sku, c.order_id,
           case when c.sku is null and c.order_id is null then c.shard end,
           case c.kind when 'restock' then to_char((c.argument ->> 'units')::bigint, 'FMSG9999999990')
                       when 'resolve' then c.argument ->> 'outcome'
                       when 'set' then (c.argument -> 'set')::text
                       when 'refund' then case when (c.argument ->> 'restock')::boolean then 'its units go back on sale' end end,
           coalesce(r.note, c.argument ->> 'note'), c.state, c.result, c.finished_at
      from (select t.* from checkout.commands t
             where t.user_id is null and t.kind <> 'webhook' and t.kind <> 'expire'
               and t.kind <> 'readmit'
             order by t.command_id desc limit p_limit) c
      left join lateral (select q.note from checkout.requests q where q.command_id = c.command_id limit 1) r on true
    union all
    (select q.created_at, 'console:' || q.requested_by, q.kind, q.wish ->> 'sku', null, null, q.wish ->> 'title', q.note,
            'done', 'it is on sale', q.created_at
       from (select t.* from checkout.requests t order by t.request_id desc limit 200) q
      where q.kind = 'create' limit p_limit)
     order by 1 desc limit p_limit;
end $$;

-- point: the sale in numbers, of which the page draws an hour. details: that, shards, items, money, jobs that cannot be
-- decided, daemons, what people changed. Lists have an end: the 10 hottest items, the 10 items with the oldest work, the
-- 20 oldest payments that are unclear, the 20 newest changes. What it costs grows with the shards and with the items that
-- have a line, and not with the orders.
create or replace function checkout.overview(out point json, out details json)
language plpgsql stable as $$
declare
    lines constant checkout.item_line[] := checkout.item_lines();
begin
    select json_build_object(
               'at', checkout.api_time(now()), 'accepted_per_second', round(s.accepted_per_s::numeric, 3),
               'confirmed_per_second', round(s.confirmed_per_s::numeric, 3), 'refused_per_second', round(s.refused_per_s::numeric, 3),
               'open_payments', s.open_payments, 'payment_ms', s.payment_ms, 'waiting', s.waiting, 'waiting_ms', s.waiting_ms,
               'decision_p50_ms', d.decision_p50_ms, 'decision_p95_ms', d.decision_p95_ms,
               'sale_p50_ms', d.sale_p50_ms, 'sale_p95_ms', d.sale_p95_ms)
      into point
      from checkout.sales_now(lines) s cross join checkout.delays_now() d;
    select json_build_object(
        'now', point,
        'needs', (select row_to_json(n) from checkout.shop_now() n),
        'shards', (select coalesce(json_agg(s order by s.shard), '[]')
                     from (select f.shard, f.owner_name as owner, f.epoch, f.since_ms, f.paused, f.waiting,
                                  coalesce(f.waiting_ms, 0) as waiting_ms, f.open_payments,
                                  coalesce(f.payment_ms, 0) as payment_ms, f.unrelayed, coalesce(f.unrelayed_ms, 0) as unrelayed_ms,
                                  round(f.decided_per_s::numeric, 3) as decided_per_second, t.payments_stopped,
                                  exists (select 1 from checkout.consumers c
                                           where c.member_id = f.owner and c.heartbeat_at > now() - interval '15 s') as served
                             from checkout.show_shards(lines) f
                             join checkout.shards t on t.shards = v.shards and t.shard = f.shard) s),
        'hot_items', (select coalesce(json_agg(h order by h.rank), '[]')
                        from (select t.rank, t.sku, i.title, i.shard, t.orders / 10.0 as orders_per_second, i.stock, i.held, i.sold,
                                     i.waiting, i.paused
                                from checkout.hot_items(10) t join checkout.items i on i.sku = t.sku) h),
        'busy_items', (select coalesce(json_agg(b order by b.oldest_ms desc), '[]')
                         from (select t.sku, i.title, t.shard, t.stock, t.held, t.sold, t.waiting, t.oldest_ms, t.paused
                                 from checkout.show_busy_items(10, lines) t join checkout.items i on i.sku = t.sku) b),
        'unclear', (select coalesce(json_agg(u order by u.unclear_seconds desc), '[]')
                      from (select p.order_id, p.attempt, p.what, p.sku, p.amount, p.currency, p.code,
                                   p.unclear_s as unclear_seconds
                              from checkout.unclear_payments(20) p) u),
        'set_aside', (select json_build_object('items', count(*), 'jobs', (select count(*) from checkout.jobs_aside),
                                               'oldest_ms', coalesce(max(checkout.age_ms(a.since)), 0))
                        from checkout.items_aside a),
        'dead_letters', (select max(p.dead_letters) from checkout.daemons p where p.heartbeat_at > now() - interval '15 s'),
        'dropped_jobs', (select row_to_json(l) from checkout.lost_jobs(24) l),
        'daemons', (select coalesce(json_agg(d order by d.program, d.host, d.place), '[]')
                      from (select t.program, t.host, t.place, t.version, t.ready, t.dead, t.not_ready, t.sockets,
                                   t.heartbeat_age_ms, checkout.api_time(t.started_at) as started_at
                              from checkout.list_daemons() t) d),
        'changes', (select coalesce(json_agg(json_build_object(
                               'at', checkout.api_time(c.at), 'requested_by', c.requested_by, 'kind', c.kind, 'sku', c.sku,
                               'order_id', c.order_id, 'shard', c.shard, 'wish', c.wish, 'note', c.note, 'state', c.state,
                               'result', c.result, 'finished_at', checkout.api_time(c.finished_at)) order by c.at desc), '[]')
                      from checkout.show_changes(20) c))
      into details
      from checkout.service v;
end $$;

-- Keeps a point of the sale, unless another console has in the same 10 s, and takes away what is older than an hour, and
-- what a clock that was set back has left of the future. Waits for no replica. Returns all that are kept, the oldest first.
create or replace function checkout.keep_moment(p_point json) returns json
language plpgsql as $$
declare
    this constant bigint := floor(extract(epoch from now()) / 10);
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into checkout.moments (slot, point) values (this, p_point) on conflict (slot) do nothing;
    delete from checkout.moments m where m.slot <= this - 360 or m.slot > this;
    return (select json_agg(m.point order by m.slot) from checkout.moments m);
end $$;
