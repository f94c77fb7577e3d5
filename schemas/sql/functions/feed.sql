-- The shop's feed of events.

-- The event up to which a reader may go who is at these positions: where the number of shards changed last before which it
-- has events to read. No event has the largest number.
create or replace function checkout.feed_bound(p_positions bigint[]) returns bigint
language plpgsql stable as $$
begin
    return coalesce(
        (select min(c.cut_event) from checkout.reshards c
          where c.cut_event is not null
            and exists (select 1 from unnest(p_positions) with ordinality as p(position, n)
                         where p.position < c.cut_event
                           and (exists (select 1 from checkout.order_events e
                                         where e.shard = p.n - 1 and e.event_id > p.position and e.event_id < c.cut_event
                                           and checkout.span_of(e.event_id) between checkout.span_of(p.position)
                                                                                and checkout.span_of(c.cut_event))
                                or exists (select 1 from checkout.returns r
                                            where r.shard = p.n - 1 and r.event_id > p.position and r.event_id < c.cut_event)))),
        9223372036854775807);
end $$;

-- The shop's feed: of each shard up to p_page events behind its position (p_positions[1] is shard 0's), of
-- them those that are to be shown, and always the last one, so that positions move on over the others.
-- With them come what went back or is disputed at the gateway (checkout.returns), which change no state: without a
-- sequence, and with its own amount. Nothing is skipped: a shard's writers are one at a time, so whoever sees an event of a shard sees all
-- with a lower id. Across shards that does not hold, hence a position for each. A position behind which events were
-- purged is refused (SQLSTATE CK006).
--
-- Events keep the shard under which they were written, whatever the number of shards was then; a position that is missing
-- is 0. Where the number changed, the events before it come first (checkout.feed_bound), so that those of an order are in
-- their order.
create or replace function checkout.feed(p_positions bigint[], p_page integer, p_all_states boolean)
returns table (shard integer, event_id bigint, shown boolean, at timestamptz, order_id uuid, sequence integer,
               status text, reason text, user_id text, sku text, quantity integer, amount bigint,
               currency text, reference text)
language plpgsql stable as $$
declare
    positions constant bigint[] := p_positions || array_fill(0::bigint, array[greatest(0,
        (select coalesce(v.streams, v.shards) from checkout.service v) - cardinality(p_positions))]);
    bound constant bigint := checkout.feed_bound(positions);
begin
    perform checkout.refuse_behind();
    perform checkout.refuse_behind_horizon(positions);
    return query
    with page as (
        select e.*, row_number() over (partition by e.shard order by e.event_id desc) = 1 as newest,
               e.status <> 'recorded' and (p_all_states or e.status not in ('waiting', 'reserved')) as wanted
          from unnest(positions) with ordinality as p(position, n)
          cross join lateral (
              (select v.shard, v.event_id, v.created_at, v.order_id, v.sequence, v.status, v.reason, null::bigint as amount
                 from checkout.order_events v
                where v.shard = p.n - 1 and v.event_id > p.position and v.event_id < bound
                  and checkout.span_of(v.event_id) between checkout.span_of(p.position) and checkout.span_of(bound)
                order by checkout.span_of(v.event_id), v.event_id limit p_page)
              union all
              (select r.shard, r.event_id, r.created_at, r.order_id, null, coalesce(r.shop_event, 'recorded'), r.reason, r.amount
                 from checkout.returns r
                where r.shard = p.n - 1 and r.event_id > p.position and r.event_id < bound
                order by r.event_id limit p_page)
              order by event_id limit p_page) e)
    select g.shard, g.event_id, g.wanted, g.created_at, g.order_id, g.sequence, g.status, g.reason,
           o.user_id, o.sku, o.quantity, coalesce(g.amount, o.amount), o.currency, o.reference
      from page g left join checkout.orders o on g.wanted and o.order_id = g.order_id
     where g.wanted or g.newest
     order by g.event_id;
end $$;

-- The newest event of each shard, 0 without one: the position behind which all that comes is new.
create or replace function checkout.feed_end() returns bigint[]
language plpgsql stable as $$
begin
    return array(
        select greatest(coalesce((select e.event_id from checkout.order_events e where e.shard = s
                                   order by checkout.span_of(e.event_id) desc, e.event_id desc limit 1), 0),
                        coalesce((select r.event_id from checkout.returns r where r.shard = s
                                   order by r.event_id desc limit 1), 0),
                        coalesce((select h.event_id from checkout.horizons h where h.shard = s), 0))
          from checkout.service v cross join generate_series(0, coalesce(v.streams, v.shards) - 1) s order by s);
end $$;

-- The position of each shard from which on no event was purged; 0: all are there.
create or replace function checkout.feed_start() returns bigint[]
language plpgsql stable as $$
begin
    return array(
        select coalesce((select h.event_id from checkout.horizons h where h.shard = s), 0)
          from checkout.service v cross join generate_series(0, coalesce(v.streams, v.shards) - 1) s order by s);
end $$;
