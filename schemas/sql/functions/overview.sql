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
             where o.created_at > now() - interval '10 s' order by o.created_at desc limit 1000) n;
    select percentile_disc(0.5) within group (order by n.ms), percentile_disc(0.95) within group (order by n.ms)
      into sale_p50_ms, sale_p95_ms
      from (select greatest(0, extract(epoch from e.created_at - o.accepted_at) * 1000)::bigint as ms
              from (select c.order_id, c.created_at from checkout.order_events c
                     where c.status = 'confirmed' and c.created_at > now() - interval '10 s'
                     order by c.created_at desc limit 1000) e
              join checkout.orders o on o.order_id = e.order_id) n;
end $$;

-- point: the sale in numbers, of which the page draws an hour. details: that, shards, items, money, jobs that cannot be
-- decided, daemons. Lists have an end: the 10 hottest items, the 10 items with the oldest work, the 20 oldest payments
-- that are unclear. What it costs grows with the shards and not with the orders.
create or replace function checkout.overview(out point json, out details json)
language plpgsql stable as $$
begin
    select json_build_object(
               'at', checkout.api_time(now()), 'accepted_per_second', round(s.accepted_per_s::numeric, 3),
               'confirmed_per_second', round(s.confirmed_per_s::numeric, 3), 'refused_per_second', round(s.refused_per_s::numeric, 3),
               'open_payments', s.open_payments, 'payment_ms', s.payment_ms, 'waiting', s.waiting, 'waiting_ms', s.waiting_ms,
               'decision_p50_ms', d.decision_p50_ms, 'decision_p95_ms', d.decision_p95_ms,
               'sale_p50_ms', d.sale_p50_ms, 'sale_p95_ms', d.sale_p95_ms)
      into point
      from checkout.sales_now() s cross join checkout.delays_now() d;
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
                             from checkout.show_shards() f
                             join checkout.shards t on t.shards = v.shards and t.shard = f.shard) s),
        'hot_items', (select coalesce(json_agg(h order by h.rank), '[]')
                        from (select t.rank, t.sku, i.title, i.shard, t.orders / 10.0 as orders_per_second, i.stock, i.held, i.sold,
                                     i.waiting, i.paused
                                from checkout.hot_items(10) t join checkout.items i on i.sku = t.sku) h),
        'busy_items', (select coalesce(json_agg(b order by b.oldest_ms desc), '[]')
                         from (select t.sku, i.title, t.shard, t.stock, t.held, t.sold, t.waiting, t.oldest_ms, t.paused
                                 from checkout.show_busy_items(10) t join checkout.items i on i.sku = t.sku) b),
        'unclear', (select coalesce(json_agg(u order by u.unclear_seconds desc), '[]')
                      from (select p.order_id, p.attempt, p.what, p.sku, p.amount, p.currency, p.code,
                                   p.unclear_s as unclear_seconds
                              from checkout.unclear_payments(20) p) u),
        'set_aside', (select json_build_object('items', count(*), 'jobs', (select count(*) from checkout.jobs_aside),
                                               'oldest_ms', coalesce(max(checkout.age_ms(a.since)), 0))
                        from checkout.items_aside a),
        'dropped_jobs', (select row_to_json(l) from checkout.lost_jobs(24) l),
        'daemons', (select coalesce(json_agg(d order by d.program, d.host, d.place), '[]')
                      from (select t.program, t.host, t.place, t.version, t.ready, t.dead, t.not_ready, t.sockets,
                                   t.heartbeat_age_ms, checkout.api_time(t.started_at) as started_at
                              from checkout.list_daemons() t) d))
      into details
      from checkout.service v;
end $$;
