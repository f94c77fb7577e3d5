-- The daemons' heartbeats, and how the shop stands now: for alarms, which must live when no consumer does.

-- A heartbeat of a daemon that is no consumer; p_ready null: it leaves. Waits for no replica, which says nothing of it. Those
-- without a heartbeat for an hour are forgotten, and there are never more than 1000. Refused where the database is behind
-- (SQLSTATE CK009).
create or replace function checkout.daemon_heartbeat(
    p_program text, p_host text, p_place text, p_pid integer, p_version text, p_ready boolean, p_not_ready text,
    p_accepted bigint, p_sockets bigint, p_dead_letters bigint default null, p_shards_set integer default null)
returns void
language plpgsql as $$
begin
    perform checkout.refuse_behind();
    perform set_config('synchronous_commit', 'off', true);
    delete from checkout.daemons d
     where (d.program, d.host, d.place) in
           (select o.program, o.host, o.place from checkout.daemons o
             where o.heartbeat_at < now() - interval '1 hour'
                or (p_ready is null and o.program = p_program and o.host = left(p_host, 100)
                    and o.place = left(p_place, 100) and o.pid = p_pid)
               for update skip locked);
    if p_ready is null or (select count(*) from checkout.daemons) >= 1000 then
        return;
    end if;
    insert into checkout.daemons as d (program, host, place, pid, version, ready, not_ready, accepted, sockets, dead_letters,
                                   shards_set)
    values (p_program, left(p_host, 100), left(p_place, 100), p_pid, left(p_version, 40), p_ready,
            case when not p_ready then left(rtrim(replace(p_not_ready, E'\n', '; '), '; '), 400) end,
            p_accepted, p_sockets, p_dead_letters, p_shards_set)
    on conflict (program, host, place) do update
       set pid = excluded.pid, version = excluded.version, ready = excluded.ready, not_ready = excluded.not_ready,
           accepted = excluded.accepted, sockets = excluded.sockets,
           dead_letters = excluded.dead_letters, shards_set = excluded.shards_set, heartbeat_at = now(),
           accepted_per_s = case when d.pid = excluded.pid and now() > d.heartbeat_at
                                 then greatest(0, excluded.accepted - d.accepted)
                                      / extract(epoch from now() - d.heartbeat_at) end,
           started_at = case when d.pid = excluded.pid then d.started_at else now() end;
end $$;

-- All daemons; dead: without a heartbeat for 15 s. One that starts again takes its row over; a consumer has a new one, and
-- the old one is shown for 10 minutes.
create or replace function checkout.list_daemons()
returns table (program text, host text, place text, pid integer, version text, ready boolean, not_ready text,
               accepted_per_s real, sockets bigint, started_at timestamptz, heartbeat_age_ms bigint, dead boolean)
language sql stable as $$
    select d.program, d.host, d.place, d.pid, d.version, d.ready, d.not_ready, d.accepted_per_s, d.sockets,
           d.started_at, checkout.age_ms(d.heartbeat_at), d.heartbeat_at < now() - interval '15 s'
      from checkout.daemons d
    union all
    select 'consumer', c.host, c.name, c.pid, c.version, c.ready, c.not_ready, null, null,
           c.started_at, checkout.age_ms(c.heartbeat_at), c.heartbeat_at < now() - interval '15 s'
      from checkout.consumers c
     where c.heartbeat_at > now() - interval '10 minutes'
     order by 1, 2, 3
$$;

-- How many of each program are ready, not ready, and dead.
create or replace function checkout.count_daemons()
returns table (program text, ready bigint, not_ready bigint, dead bigint)
language sql stable as $$
    select p.program, count(d.program) filter (where d.ready and not d.dead),
           count(d.program) filter (where not d.ready and not d.dead), count(d.program) filter (where d.dead)
      from unnest(array['producer', 'consumer', 'notifier', 'mailer', 'webhooks', 'console']) p(program)
      left join checkout.list_daemons() d on d.program = p.program
     group by p.program
$$;

-- The items that have a waitlist: how many wait, and since when the first of them does. By some steps in indexes for each,
-- however many wait. Whoever needs them several times reads them once, and gives them to the functions below.
create or replace function checkout.item_lines() returns checkout.item_line[]
language plpgsql stable as $$
declare
    n integer;
begin
    select v.shards into n from checkout.service v;
    return array(
        select row(i.sku, i.shard, i.waiting, h.created_at)::checkout.item_line
          from checkout.items_with_waitlist(array(select s from generate_series(0, n - 1) s)) i
          cross join lateral (select w.created_at from checkout.waitlist w
                               where w.sku = i.sku and w.ticket >= i.waitlist_head
                               order by w.ticket limit 1) h);
end $$;

-- The waitlists of each shard: how many wait, and how long the first of them has.
create or replace function checkout.lines_now(p_lines checkout.item_line[] default null)
returns table (shard integer, waiting bigint, oldest_ms bigint)
language plpgsql stable as $$
declare
    n integer;
begin
    select v.shards into n from checkout.service v;
    return query
    with lines as (
        select i.shard, sum(i.waiting)::bigint as waiting, min(i.since) as since
          from unnest(coalesce(p_lines, checkout.item_lines())) i group by i.shard)
    select s.shard, coalesce(l.waiting, 0), coalesce(checkout.age_ms(l.since), 0)
      from generate_series(0, n - 1) s(shard) left join lines l on l.shard = s.shard;
end $$;

-- How the sale goes, over the last 10 s (confirmed, refused: where there were 10,000 or more, over the time of the newest
-- 10,000), and the payments that the gateway has not answered: how many (10,000: or more), and how old the first of them
-- is. Those whose buyers are at the bank do not count.
create or replace function checkout.sales_now(
    p_lines checkout.item_line[] default null, out accepted_per_s double precision, out confirmed_per_s double precision, out refused_per_s double precision,
    out open_payments bigint, out payment_ms bigint, out waiting bigint, out waiting_ms bigint)
language plpgsql stable as $$
begin
    select coalesce(sum(d.accepted_per_s), 0) into accepted_per_s
      from checkout.daemons d where d.heartbeat_at > now() - interval '15 s';
    select case when count(*) < 10000 then count(*) / 10.0
                else 10000 / greatest(extract(epoch from now() - min(c.created_at)), 0.01) end into confirmed_per_s
      from (select e.created_at from checkout.order_events e
             where e.status = 'confirmed'
               and checkout.second_of(e.created_at) between checkout.second_of(now() - interval '10 s') and checkout.second_of(now())
               and e.created_at > now() - interval '10 s' and e.created_at <= now()
             order by checkout.second_of(e.created_at) desc, e.created_at desc limit 10000) c;
    select case when count(*) < 10000 then count(*) / 10.0
                else 10000 / greatest(extract(epoch from now() - min(r.created_at)), 0.01) end into refused_per_s
      from (select e.created_at from checkout.order_events e
             where e.status = 'rejected'
               and checkout.second_of(e.created_at) between checkout.second_of(now() - interval '10 s') and checkout.second_of(now())
               and e.created_at > now() - interval '10 s' and e.created_at <= now()
             order by checkout.second_of(e.created_at) desc, e.created_at desc limit 10000) r;
    select count(*), coalesce(max(checkout.age_ms(p.created_at)), 0) into open_payments, payment_ms
      from (select t.created_at from checkout.service v
             cross join lateral generate_series(0, v.shards - 1) s(shard)
             cross join lateral (select q.created_at from checkout.payments q
                                  where q.shard = s.shard and q.state = 'open' and q.action is null
                                  order by q.created_at limit 10000) t
             limit 10000) p;
    select coalesce(sum(l.waiting), 0), coalesce(max(l.oldest_ms), 0) into waiting, waiting_ms
      from checkout.lines_now(p_lines) l;
end $$;

-- The items that most orders of the last 10 s were for, hottest first; those of equal heat by sku, unknown
-- ones left out. Only the newest 5000
-- orders that were decided are looked at: where there were more in these 10 s, `orders` is an estimate made from them.
-- `waiting` is the length of the item's waitlist.
create or replace function checkout.hot_items(p_limit integer)
returns table (rank bigint, sku text, orders bigint, waiting integer)
language plpgsql stable as $$
begin
    return query
    with newest as materialized (
        select o.sku, o.reason, o.created_at as at from checkout.orders o
         where checkout.second_of(o.created_at) between checkout.second_of(now() - interval '10 s') and checkout.second_of(now())
           and o.created_at > now() - interval '10 s' and o.created_at <= now()
         order by checkout.second_of(o.created_at) desc, o.created_at desc limit 5000),
    sample as materialized (
        select case when count(*) < 5000 then 1
                    else 10 / greatest(extract(epoch from now() - min(n.at)), 0.01) end as factor
          from newest n),
    counts as (select n.sku, count(*) as orders from newest n
                where n.reason is distinct from 'unknown_item' group by n.sku),
    hottest as (select c.sku, c.orders from counts c order by c.orders desc, c.sku limit p_limit)
    select row_number() over (order by h.orders desc, h.sku), h.sku, (h.orders * s.factor)::bigint, i.waiting
      from hottest h cross join sample s join checkout.items i on i.sku = h.sku
     order by 1;
end $$;

-- What needs somebody: shards that no living consumer serves, shards whose payments are stopped, and money of which the
-- gateway has not said what became of it, with the age of the oldest of that.
create or replace function checkout.shop_now(
    out unserved bigint, out stopped bigint, out unclear bigint, out unclear_ms bigint)
language plpgsql stable as $$
begin
    select count(*) filter (where not exists (select 1 from checkout.consumers c
                                               where c.member_id = s.owner
                                                 and c.heartbeat_at > now() - interval '15 s')),
           count(*) filter (where s.payments_stopped is not null)
      into unserved, stopped
      from checkout.service v join checkout.shards s on s.shards = v.shards;
    select count(*), coalesce(max(checkout.age_ms(u.since)), 0) into unclear, unclear_ms
      from (select p.unclear_since as since from checkout.payments p
             where p.state = 'open' and p.unclear_since is not null
            union all
            select r.unclear_since from checkout.refunds r
             where r.state = 'open' and r.unclear_since is not null) u;
end $$;
