-- What the owner of a shard looks for, the outbox, and the pool.

-- Open payments of shards that are older than p_age_ms: after a take-over all of them (0), later only
-- those that the owner's memory may have lost.
create function checkout.open_payments(p_shard_list integer[], p_age_ms bigint, p_limit integer)
returns setof checkout.effect
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    return query
    select 'pay', p.order_id, p.attempt, p.amount, p.currency, o.payment_method, o.receipt_email, o.sku,
           greatest(0, (extract(epoch from now() - p.created_at) * 1000)::bigint)::text, p.resolution
      from checkout.payments p
      cross join lateral (select * from checkout.orders where order_id = p.order_id limit 1) o
     where p.shard = any (p_shard_list) and p.state = 'open'
       and (p.created_at <= now() - p_age_ms * interval '1 ms'
            or p.created_at > now() or p_age_ms = 0)    -- the clock may have been set back
     order by p.created_at limit p_limit;
end $$;

-- The items of these shards that have a line: one step in the index for each, and one for each shard. The
-- step names shard and item as one, for which no other index serves: with the shard alone in a condition, a
-- plan over few rows may walk the items of all shards.
create function checkout.lined_items(p_shard_list integer[]) returns setof checkout.items
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    return query
    with recursive lined as (
        select s as home, n.shard, n.sku
          from unnest(p_shard_list) s
          cross join lateral (select l.shard, l.sku from checkout.line l
                               where l.shard >= s order by l.shard, l.sku limit 1) n
        union all
        select lined.home, n.shard, n.sku
          from lined
          cross join lateral (select l.shard, l.sku from checkout.line l
                               where (l.shard, l.sku) > (lined.shard, lined.sku)
                               order by l.shard, l.sku limit 1) n
         where lined.shard = lined.home)
    select i.*
      from lined cross join lateral (select * from checkout.items where items.sku = lined.sku limit 1) i
     where lined.shard = lined.home;
end $$;

-- Those of them at whose head somebody has waited too long.
create function checkout.expired_lines(p_shards integer, p_shard_list integer[])
returns table (shard integer, sku text)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    return query
    select i.shard, i.sku
      from checkout.lined_items(p_shard_list) i
      join checkout.shards s on s.shards = p_shards and s.shard = i.shard
     where (select l.expires_at from checkout.line l where l.sku = i.sku and l.ticket >= i.line_head
             order by l.ticket limit 1)
           <= checkout.item_clock(i, s);
end $$;

-- Which of these shards have work that nobody may have in mind: commands ('command'), orders that waited
-- too long ('expired'), and lines that are not settled ('more', with the item).
create function checkout.overdue(p_shards integer, p_shard_list integer[])
returns table (shard integer, kind text, sku text)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    return query
    select s, 'command', null::text
      from unnest(p_shard_list) s
     where (select c.command_id from checkout.commands c where c.shard = s and c.state = 'pending'
             order by c.command_id limit 1) is not null;

    return query
    select e.shard, 'expired', e.sku from checkout.expired_lines(p_shards, p_shard_list) e;

    return query
    select i.shard, 'more', i.sku
      from checkout.lined_items(p_shard_list) i
      join checkout.shards s on s.shards = p_shards and s.shard = i.shard
     where (select l.quantity from checkout.line l where l.shard = i.shard and l.sku = i.sku
             order by l.quantity desc, l.ticket desc limit 1) > i.stock - i.sold
        or (not i.paused and not s.paused
            and (select l.quantity from checkout.line l where l.sku = i.sku and l.ticket >= i.line_head
                  order by l.ticket limit 1)
                <= i.stock - i.sold - i.held);
end $$;

-- The next events of a shard to relay, in commit order.
create function checkout.unrelayed(p_shard integer, p_after bigint, p_limit integer)
returns table (event_id bigint, user_id text, sequence integer, time_ms bigint, order_id uuid, sku text,
               quantity integer, status text, reason text, place_in_line bigint, amount bigint,
               currency text, reference text, next_action text)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    return query
    select e.event_id, o.user_id, e.sequence, (extract(epoch from e.created_at) * 1000)::bigint,
           e.order_id, o.sku, o.quantity, e.status, e.reason, e.place_in_line, o.amount, o.currency,
           o.reference, checkout.next_action(o.order_id, e.status, e.sequence, o.sequence)
      from checkout.order_events e
      cross join lateral (select * from checkout.orders where orders.order_id = e.order_id limit 1) o
     where e.shard = p_shard and e.event_id > p_after
     order by e.event_id limit p_limit;
end $$;

-- What the door may be told of items of these shards: of those in p_skus, and (up to p_limit) of all that
-- are locked while somebody buys them.
create function checkout.gate_states(p_shard_list integer[], p_skus text[], p_limit integer)
returns table (sku text, shard integer, gate text, state text)
language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = off set enable_indexonlyscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
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

-- Remembers how far shards are relayed, and since when; never goes back. What was relayed 30 days ago is
-- forgotten, a few rows at a time: the oldest of a shard are the first of the index.
create function checkout.advance_relays(p_shard_list integer[], p_marks bigint[]) returns void
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

-- An order's place among those that wait for its item, 1 = next; null if it does not wait. Exact for the
-- first 1,000; further back it may be high by those that left the line in the middle.
create function checkout.place_in_line(p_order uuid) returns bigint
language sql stable as $$
    select case when o.ticket - h.ticket < 1000
                then (select count(*) from checkout.line l
                       where l.sku = o.sku and l.ticket between h.ticket and o.ticket)
                else least(o.ticket - h.ticket + 1, i.waiting) end
      from checkout.orders o
      join checkout.items i on i.sku = o.sku
      cross join lateral (select l.ticket from checkout.line l
                           where l.sku = o.sku and l.ticket >= i.line_head order by l.ticket limit 1) h
     where o.order_id = p_order and o.status = 'waiting'
$$;

-- ---------------------------------------------------------------------------------------------------
-- The pool
-- ---------------------------------------------------------------------------------------------------

-- Class of the session advisory locks that members hold, the member's id being the object.
create function checkout.member_lock_class() returns integer
language sql immutable return 1128811599;

-- Whether a session of this database holds the member's lock: its process lives, or it is frozen.
create function checkout.member_locked(p_member bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from pg_locks k
         where k.locktype = 'advisory' and k.granted and k.objsubid = 2
           and k.classid = checkout.member_lock_class()::oid and k.objid = p_member::oid
           and k.database = (select d.oid from pg_database d where d.datname = current_database()))
$$;

-- A new member. Forgets those that are gone: without their lock, and without a beat for a minute. (Should
-- a jump of the clock meet a member between two sessions, it joins again.)
create function checkout.join_pool(p_name text, p_host text, p_pid integer, p_version text)
returns bigint
language plpgsql as $$
declare
    id bigint;
begin
    delete from checkout.consumers c
     where c.beat_at < now() - interval '1 minute' and not checkout.member_locked(c.member_id);
    insert into checkout.consumers (name, host, pid, version) values (p_name, p_host, p_pid, p_version)
      returning member_id into id;
    perform pg_advisory_lock(checkout.member_lock_class(), id::integer);
    return id;
end $$;

-- One beat; takes the member's lock again after a lost session. It does not wait for it: the server may
-- not have noticed yet that the session before is gone, and until then that one still holds it.
-- Returns the members, whether each holds its lock, and those of which something is known first.
-- No row of its own: it was taken for dead and removed, and has to join again.
create function checkout.beat(p_member bigint, p_ready boolean, p_backends integer[])
returns table (member_id bigint, name text, beat bigint, ready boolean, locked boolean)
language plpgsql as $$
begin
    if not exists (select 1 from pg_locks k
                    where k.locktype = 'advisory' and k.pid = pg_backend_pid()
                      and k.classid = checkout.member_lock_class()::oid and k.objid = p_member::oid) then
        perform pg_try_advisory_lock(checkout.member_lock_class(), p_member::integer);
    end if;
    update checkout.consumers c
       set beat = c.beat + 1, ready = p_ready, backend_pids = p_backends, beat_at = now()
     where c.member_id = p_member;
    return query
    with held as materialized (
        select k.objid::bigint as member_id from pg_locks k
         where k.locktype = 'advisory' and k.granted and k.objsubid = 2
           and k.classid = checkout.member_lock_class()::oid
           and k.database = (select d.oid from pg_database d where d.datname = current_database()))
    select c.member_id, c.name, c.beat, c.ready, l.locked
      from checkout.consumers c
      cross join lateral (select exists (select 1 from held h where h.member_id = c.member_id)) as l(locked)
     order by c.member_id = p_member desc, l.locked desc, c.beat_at desc;
end $$;

-- A member leaves.
create function checkout.leave_pool(p_member bigint) returns void
language sql as $$
    delete from checkout.consumers where member_id = p_member
$$;

-- Ends what keeps a take-over waiting in session p_waiting: consumers' sessions that hold the row, and all
-- those of the owner p_owner, which is dead (null: it is not). Others that wait to take over are left alone.
create function checkout.free_shard(p_waiting integer, p_owner bigint) returns integer
language sql as $$
    select count(*) filter (where pg_terminate_backend(a.pid))::integer
      from pg_stat_activity a
     where a.application_name like 'checkout-consumer%' and a.pid <> p_waiting
       and a.datname = current_database()
       and not (a.wait_event_type is not distinct from 'Lock' and a.query like '%checkout.take_over(%')
       and (a.pid = any (pg_blocking_pids(p_waiting))
            or a.pid in (select unnest(c.backend_pids) from checkout.consumers c where c.member_id = p_owner))
$$;
