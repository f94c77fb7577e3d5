-- What operators look at. These functions read only, each in one snapshot; where a table is large they go
-- by index, and where a count may be large it is bounded.

-- The pool's members, with the age of their last heartbeat by the database's clock. For people: the members
-- themselves judge who is alive, by the change of the heartbeat.
create or replace function checkout.list_members()
returns table (member_id bigint, name text, host text, pid integer, version text, heartbeats bigint,
               heartbeat_age_ms bigint, ready boolean, locked boolean, started_at timestamptz, node text)
language sql stable as $$
    select c.member_id, c.name, c.host, c.pid, c.version, c.heartbeats,
           (extract(epoch from clock_timestamp() - c.heartbeat_at) * 1000)::bigint, c.ready,
           exists (select 1 from pg_locks k
                    where k.locktype = 'advisory' and k.granted and k.objsubid = 2
                      and k.classid = checkout.member_lock_class()::oid
                      and k.objid = c.member_id::oid and k.database =
                          (select d.oid from pg_database d where d.datname = current_database())),
           c.started_at, c.node
      from checkout.consumers c order by c.name, c.member_id
$$;

-- One row for each shard in service.
--   waiting       orders on the waitlist, and how long the first of them has
--   open_payments reserved orders whose payment has not ended, and the age of the first whose buyer is not at the bank
--   unrelayed     events past the relay's watermark (1000: or more), and the age of the first
--   decided_per_s orders that were decided, over the last 10 s; under load over fewer
create or replace function checkout.show_shards(p_lines checkout.item_line[] default null)
returns table (shard integer, epoch bigint, owner bigint, owner_name text, since_ms bigint, paused boolean,
               waiting bigint, waiting_ms bigint, open_payments bigint, payment_ms bigint,
               unrelayed bigint, unrelayed_ms bigint, decided_per_s double precision)
language plpgsql stable as $$
declare
    n integer;
    newest integer;     -- events of a shard that the rate is made from
begin
    select v.shards into n from checkout.service v;
    newest := greatest(64, 8192 / n);
    return query
    with lines as (
        select i.shard, sum(i.waiting)::bigint as waiting, min(i.since) as since
          from unnest(coalesce(p_lines, checkout.item_lines())) i group by i.shard),
    payments as (
        select p.shard, count(*) as open, min(p.created_at) filter (where p.action is null) as since
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
                   where e.shard = s.shard and checkout.span_of(e.event_id) >= checkout.span_of(m.relayed_to)
                     and e.event_id > m.relayed_to
                   order by checkout.span_of(e.event_id), e.event_id limit 1000) e) u
      cross join lateral (
          select count(*) as events, count(*) filter (where e.sequence = 1) as decided,
                 min(e.created_at) as since
            from (select e.sequence, e.created_at from checkout.order_events e where e.shard = s.shard
                   order by checkout.span_of(e.event_id) desc, e.event_id desc limit newest) e
           where e.created_at > now() - interval '10 s') r
     where s.shards = n
     order by s.shard;
end $$;

-- What is known of one order, in the order in which it happened:
--   accepted  by the producer (its own clock)
--   asked     a command: of the buyer to cancel it, or of an operator to its item or shard while it lived;
--             finished_at, state and result tell what came of it
--   payment   an attempt began: its intent was committed
--   answer    … and ended
--   refund    a refund began, of this attempt; `what`: requested, late_success
--   returned  … and ended; `what`: as of refund, or outside: it went back outside of the gateway (result: why)
--   elsewhere a refund or a dispute (`what`) that we did not make, or our refund that did not succeed: as the gateway
--             showed it; intent_id: its own id
--   event     it changed its state: by which member under which epoch, and when that was relayed
create or replace function checkout.show_story(p_order uuid)
returns table (at timestamptz, kind text, status text, reason text, sequence integer, event_id bigint,
               place_in_line bigint, epoch bigint, member text, relayed boolean, relayed_at timestamptz,
               attempt integer, amount bigint, currency text, code text, intent_id text, key text,
               asked_by text, what text, units bigint, result text, finished_at timestamptz)
language plpgsql stable as $$
declare
    o checkout.orders;
begin
    select * into o from checkout.orders t where t.order_id = p_order;
    return query
    select s.* from (
        select o.accepted_at as at, 'accepted'::text, null::text, null::text, null::integer, null::bigint,
               null::bigint, null::bigint, null::text, null::boolean, null::timestamptz, null::integer,
               null::bigint, null::text, null::text, null::text, null::text, null::text, null::text,
               null::bigint, null::text, null::timestamptz
         where o.order_id is not null
        union all
        select e.created_at, 'event', e.status, e.reason, e.sequence, e.event_id, e.place_in_line, e.epoch,
               (select coalesce(t.name, 'member ' || t.member) from checkout.take_overs t
                 where t.shards in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)     -- whatever was in service then
                   and t.shard = e.shard and t.epoch = e.epoch limit 1),
               e.event_id <= (select r.relayed_to from checkout.relays r where r.shard = e.shard),
               (select l.saved_at from checkout.relay_log l
                 where l.shard = e.shard and l.relayed_to >= e.event_id
                 order by l.relayed_to limit 1),
               null, null, null, null, null, null, null, null, null, null, null
          from checkout.order_events e where uuid_hash(e.order_id) = uuid_hash(p_order) and e.order_id = p_order
        union all
        select p.created_at, 'payment', p.state, null, null, null, null, null, null, null, null, p.attempt,
               p.amount, p.currency, p.code, p.intent_id, p.idempotency_key, null, null, null, null, null
          from checkout.payments p where p.order_id = p_order
        union all
        select p.updated_at, 'answer', p.state, null, null, null, null, null, null, null, null, p.attempt,
               p.amount, p.currency, p.code, p.intent_id, p.idempotency_key, null, null, null, null, null
          from checkout.payments p where p.order_id = p_order and p.state <> 'open'
        union all
        select r.created_at, 'refund', r.state, null, null, null, null, null, null, null, null, r.attempt,
               r.amount, r.currency, r.code, r.intent_id, r.idempotency_key, null, r.reason, null, r.note, null
          from checkout.refunds r where r.order_id = p_order
        union all
        select r.updated_at, 'returned', r.state, null, null, null, null, null, null, null, null, r.attempt,
               r.amount, r.currency, r.code, r.refund_id, r.idempotency_key, null,
               case when r.outside then 'outside' else r.reason end, null, r.note, null
          from checkout.refunds r where r.order_id = p_order and r.state <> 'open'
        union all
        select t.created_at, 'elsewhere', t.status, t.reason, null, null, null, null, null, null, null, t.attempt,
               t.amount, t.currency, null, t.gateway_id, null, null, t.kind, null, null, null
          from checkout.returns t
         where t.order_id = p_order and not (t.ours and t.status in ('pending', 'succeeded'))
        union all
        select c.created_at, 'asked', c.state, null, null, null, null, null, null, null, null, null,
               null, null, null, null, null, c.requested_by,
               c.kind || case when c.order_id is null and c.sku is null then ' shard' else '' end,
               (c.argument ->> 'units')::bigint, c.result, c.finished_at
          from (select c.* from checkout.commands c where c.order_id = p_order and c.state <> 'pending'
                union all
                select c.* from checkout.commands c
                 where c.order_id = p_order and c.kind = 'cancel' and c.state = 'pending'
                union all
                select c.* from checkout.commands c where c.sku = o.sku
                union all
                select c.* from checkout.commands c
                 where c.shard = o.shard and c.sku is null and c.order_id is null) c
         where c.order_id = p_order
            or c.created_at between o.created_at
                                and case when o.status in ('waiting', 'reserved') then now()
                                         else o.updated_at end)
        s(happened, what_kind, c3, c4, n)
     order by s.happened,
              array_position(array['accepted', 'asked', 'answer', 'returned', 'elsewhere', 'event', 'payment', 'refund'], s.what_kind), s.n;
end $$;

-- Who was before an order when it began to wait: those on the waitlist, and those that held units. Found among
-- the p_depth events of its shard before its own; the nearest p_limit of them, nearest first.
create or replace function checkout.show_ahead(p_order uuid, p_depth integer, p_limit integer)
returns table (order_id uuid, was text, status text, reason text, updated_at timestamptz)
language plpgsql stable as $$
begin
    return query
    select b.order_id, b.status, o.status, o.reason, o.updated_at
      from checkout.order_events w
      join checkout.orders own on own.order_id = w.order_id
      cross join lateral (
          select e.order_id, e.sequence, e.status, e.event_id from checkout.order_events e
           where e.shard = w.shard and checkout.span_of(e.event_id) <= checkout.span_of(w.event_id) and e.event_id < w.event_id
           order by checkout.span_of(e.event_id) desc, e.event_id desc limit p_depth) b
      join checkout.orders o on o.order_id = b.order_id and o.sku = own.sku
      left join checkout.order_events after
        on uuid_hash(after.order_id) = uuid_hash(b.order_id) and after.order_id = b.order_id and after.sequence = b.sequence + 1
     where uuid_hash(w.order_id) = uuid_hash(p_order) and w.order_id = p_order and w.sequence = 1 and w.status = 'waiting'
       and b.status in ('waiting', 'reserved')
       and (after.event_id is null or after.event_id > w.event_id)
     order by b.event_id desc limit p_limit;
end $$;

-- How an order that is not final stands now. No row: it is final, or not decided yet.
--   ahead        orders before it in line
--   may_wait_ms  until it expires, on its item's clock; `stopped`: that clock stands still
create or replace function checkout.show_standing(p_order uuid)
returns table (ahead bigint, may_wait_ms bigint, stopped boolean, stock integer, held integer, sold integer,
               waiting integer, paused boolean, shard_paused boolean)
language plpgsql stable as $$
begin
    return query
    select checkout.place_in_line(p_order) - 1,
           (extract(epoch from l.expires_at - checkout.item_clock(i, s)) * 1000)::bigint,
           i.stopped_at is not null or s.stopped_at is not null, i.stock, i.held, i.sold, i.waiting,
           i.paused, s.paused
      from checkout.orders o
      join checkout.items i on i.sku = o.sku
      join checkout.service v on true
      join checkout.shards s on s.shards = v.shards and s.shard = o.shard
      left join checkout.waitlist l on l.sku = o.sku and l.ticket = o.ticket
     where o.order_id = p_order and o.status in ('waiting', 'reserved');
end $$;

-- The items at which somebody waits or is being paid for, by how long the first of them has; of payments
-- the 1000 oldest are looked at. With the same snapshot's counts.
create or replace function checkout.show_busy_items(p_limit integer, p_lines checkout.item_line[] default null)
returns table (sku text, shard integer, stock integer, held integer, sold integer, waiting integer,
               oldest_ms bigint, paused boolean)
language plpgsql stable as $$
declare
    n integer;
begin
    select v.shards into n from checkout.service v;
    return query
    with since as (
        select i.sku, i.since as at from unnest(coalesce(p_lines, checkout.item_lines())) i
        union all
        select o.sku, p.created_at
          from (select p.order_id, p.created_at
                  from generate_series(0, n - 1) s
                  cross join lateral (select q.order_id, q.created_at from checkout.payments q
                                       where q.shard = s and q.state = 'open'
                                       order by q.created_at limit greatest(1, 1000 / n)) p) p
          join checkout.orders o on o.order_id = p.order_id),
    oldest as (select c.sku, min(c.at) as at from since c group by c.sku order by 2 limit p_limit)
    select i.sku, i.shard, i.stock, i.held, i.sold, i.waiting,
           (extract(epoch from now() - d.at) * 1000)::bigint, i.paused
      from oldest d join checkout.items i on i.sku = d.sku
     order by d.at;
end $$;
