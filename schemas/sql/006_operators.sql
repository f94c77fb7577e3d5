-- What operators look at. These functions read only, each in one snapshot; where a table is large they go
-- by index, and where a count may be large it is bounded.

-- The pool's members, with how long ago they beat by the database's clock. For people: who is alive is
-- judged by the members themselves, by the change of the beat.
create function checkout.show_members()
returns table (member_id bigint, name text, host text, pid integer, version text, beat bigint,
               beat_age_ms bigint, ready boolean, locked boolean, started_at timestamptz)
language sql stable as $$
    select c.member_id, c.name, c.host, c.pid, c.version, c.beat,
           (extract(epoch from clock_timestamp() - c.beat_at) * 1000)::bigint, c.ready,
           exists (select 1 from pg_locks k
                    where k.locktype = 'advisory' and k.granted and k.objsubid = 2
                      and k.classid = checkout.member_lock_class()::oid
                      and k.objid = c.member_id::oid and k.database =
                          (select d.oid from pg_database d where d.datname = current_database())),
           c.started_at
      from checkout.consumers c order by c.name, c.member_id
$$;

-- One row for each shard in service.
--   waiting       orders that wait in line, and how long the first of them has
--   open_payments reserved orders whose payment has not ended, and the age of the first
--   unrelayed     events past the relay's mark (1000: or more), and the age of the first
--   decided_per_s orders that came to the counter, over the last 10 s; under load over fewer
create function checkout.show_shards()
returns table (shard integer, epoch bigint, owner bigint, owner_name text, since_ms bigint, paused boolean,
               waiting bigint, waiting_ms bigint, open_payments bigint, payment_ms bigint,
               unrelayed bigint, unrelayed_ms bigint, decided_per_s double precision)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    n integer;
    newest integer;     -- events of a shard that the rate is made from
begin
    select v.shards into n from checkout.service v;
    newest := greatest(64, 8192 / n);
    return query
    with lines as (
        select i.shard, sum(i.waiting)::bigint as waiting, min(o.created_at) as since
          from checkout.lined_items(array(select s from generate_series(0, n - 1) s)) i
          cross join lateral (select l.order_id from checkout.line l
                               where l.sku = i.sku and l.ticket >= i.line_head
                               order by l.ticket limit 1) h
          join checkout.orders o on o.order_id = h.order_id
         group by i.shard),
    payments as (
        select p.shard, count(*) as open, min(p.created_at) as since
          from checkout.payments p where p.state = 'open' group by p.shard)
    select s.shard, s.epoch, s.owner,
           (select t.name from checkout.take_overs t
             where t.shards = n and t.shard = s.shard and t.epoch = s.epoch and t.member = s.owner),
           (extract(epoch from now() - s.taken_at) * 1000)::bigint, s.paused,
           coalesce(l.waiting, 0), (extract(epoch from now() - l.since) * 1000)::bigint,
           coalesce(p.open, 0), (extract(epoch from now() - p.since) * 1000)::bigint,
           u.events, (extract(epoch from now() - u.since) * 1000)::bigint,
           case when r.events < newest then r.decided / 10.0
                else r.decided / greatest(extract(epoch from now() - r.since), 0.001) end
               ::double precision
      from checkout.shards s
      left join lines l on l.shard = s.shard
      left join payments p on p.shard = s.shard
      join checkout.relays m on m.shard = s.shard
      cross join lateral (
          select count(*) as events, min(e.created_at) as since
            from (select e.created_at from checkout.order_events e
                   where e.shard = s.shard and e.event_id > m.relayed_to
                   order by e.event_id limit 1000) e) u
      cross join lateral (
          select count(*) as events, count(*) filter (where e.sequence = 1) as decided,
                 min(e.created_at) as since
            from (select e.sequence, e.created_at from checkout.order_events e where e.shard = s.shard
                   order by e.event_id desc limit newest) e
           where e.created_at > now() - interval '10 s') r
     where s.shards = n
     order by s.shard;
end $$;
