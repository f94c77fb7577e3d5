-- Keeping and purging: orders that ended long ago leave their ids and ends in checkout.purged_orders, and nothing else.

-- Whatever is asked for, nothing younger than this goes: the gateway tells of a payment for some days.
create or replace function checkout.purge_memory() returns interval
language sql immutable return interval '7 days';

-- An order of which money was taken stays for so long after its last change, since its buyer's bank may dispute the
-- payment: for 120 days, as a rule.
create or replace function checkout.money_memory() returns interval
language sql immutable return interval '180 days';

-- Those of a shard's orders (whose first events were written under it) that must stay, each with a word why. The one place that says what may still come of an
-- order: a table that refers to orders has a line here, and one in checkout.remove_orders.
create or replace function checkout.orders_to_keep(p_shard integer, p_ids uuid[], p_before timestamptz)
returns table (order_id uuid, why text)
language plpgsql stable as $$
declare
    homes constant integer[] := checkout.homes_of(p_shard);
    hashes constant integer[] := array(select uuid_hash(i) from unnest(p_ids) i);
    money_before constant timestamptz := least(p_before, now() - checkout.money_memory());
begin
    return query
    select o.order_id, case when o.status in ('waiting', 'reserved') then 'open' else 'young' end
      from checkout.orders o
     where o.order_id = any (p_ids) and (o.status in ('waiting', 'reserved') or o.updated_at >= p_before)
    union all
    select e.order_id, 'event to be published' from checkout.order_events e
     where uuid_hash(e.order_id) = any (hashes) and e.order_id = any (p_ids)
       and e.event_id > (select r.relayed_to from checkout.relays r where r.shard = e.shard)
    union all
    select p.order_id, case when p.state = 'captured' then 'money' else 'payment' end from checkout.payments p
     where p.order_id = any (p_ids)
       and (p.state || '' = 'open' or p.look_at is not null
            or p.updated_at >= case p.state when 'captured' then money_before else p_before end)
    union all
    select r.order_id, 'refund' from checkout.refunds r
     where r.order_id = any (p_ids) and (r.state || '' <> 'succeeded' or r.updated_at >= money_before)
    union all
    select p.order_id, 'refund' from checkout.payments p join checkout.return_looks l on l.intent_id = p.intent_id
     where p.order_id = any (p_ids)
    union all
    select r.order_id, 'refund' from checkout.refunds r join checkout.return_looks l on l.intent_id = r.intent_id
     where r.order_id = any (p_ids)
    union all
    select t.order_id, 'dispute'
      from (select distinct on (n.order_id, n.gateway_id) n.* from checkout.returns n where n.order_id = any (p_ids)
             order by n.order_id, n.gateway_id, n.event_id desc) t
     where t.created_at >= money_before
        or t.kind = 'dispute' and t.status not in ('won', 'lost', 'warning_closed', 'prevented', 'charge_refunded')
        or t.kind = 'refund' and t.status not in ('succeeded', 'failed', 'canceled')
    union all
    select c.order_id, 'command' from checkout.commands c
     where c.state = 'pending' and c.shard = any (homes) and c.order_id = any (p_ids)
    union all
    select c.order_id, 'command' from checkout.commands c
     where c.state = 'pending' and c.shard is null and c.order_id = any (p_ids)
    union all
    select c.order_id, 'command' from checkout.commands c
     where c.order_id is not null and c.state <> 'pending' and c.order_id = any (p_ids) and c.finished_at >= p_before
    union all
    select m.order_id, 'mail' from checkout.mails m
     where m.order_id = any (p_ids) and (m.state || '' = 'due' or m.ended_at >= p_before)
    union all
    select d.order_id, 'webhook' from checkout.hook_deliveries d
     where d.order_id = any (p_ids) and (d.state || '' = 'due' or d.ended_at >= p_before)
    union all
    select e.order_id, 'webhook' from checkout.order_events e join checkout.hook_endpoints h
        on e.event_id > coalesce(h.positions[e.shard + 1], 0)
     where uuid_hash(e.order_id) = any (hashes) and e.order_id = any (p_ids)
    union all
    select r.order_id, 'webhook' from checkout.returns r join checkout.hook_endpoints h
        on r.event_id > coalesce(h.positions[r.shard + 1], 0) where r.order_id = any (p_ids)
    union all
    select g.order_id, 'purged before' from checkout.purged_orders g where g.order_id = any (p_ids);
end $$;

-- What is left of these orders: the caller takes them away in the same transaction.
create or replace function checkout.note_purged(p_ids uuid[]) returns void
language plpgsql as $$
begin
    insert into checkout.purged_orders (order_id, ended_at, captures, status, reason)
    select o.order_id, o.updated_at,
           (select count(*) from checkout.payments p where p.order_id = o.order_id and p.state || '' = 'captured')
           + (select count(*) from checkout.refunds r where r.order_id = o.order_id and r.reason = 'late_success'),
           o.status, o.reason
      from checkout.orders o where o.order_id = any (p_ids);
    insert into checkout.purged_items as t (sku, orders, sold)
    select o.sku, count(*), coalesce(sum(o.quantity) filter (where o.status = 'confirmed' or o.status = 'refunded'
                and not exists (select 1 from checkout.refunds r
                                 where r.order_id = o.order_id and r.reason = 'requested' and r.restock)), 0)
      from checkout.orders o where o.order_id = any (p_ids) group by o.sku order by o.sku
        on conflict (sku) do update set orders = t.orders + excluded.orders, sold = t.sold + excluded.sold;
end $$;

-- The next orders of a shard behind an event, by their first events.
create or replace function checkout.orders_after(p_shard integer, p_after bigint, p_limit integer)
returns table (order_id uuid, event_id bigint, created_at timestamptz)
language plpgsql stable as $$
begin
    return query
    select e.order_id, e.event_id, e.created_at from checkout.order_events e
     where e.shard = p_shard and checkout.span_of(e.event_id) >= checkout.span_of(p_after) and e.event_id > p_after
       and e.sequence = 1
     order by checkout.span_of(e.event_id), e.event_id limit p_limit;
end $$;

-- Purges, of the p_limit orders of a shard that came next after the event p_after, those that ended before p_before and
-- of which nothing may still come. p_dry: only counts them.
--   went_on   the event to go on behind; null: there are no more that came before p_before
--   kept_for_money, kept_for_work   those that would be old enough, and stay: their money may still move, or something
--             about them is not done yet
--   busy      the shard's owner was at work for longer than 100 ms: nothing was done, try again
-- The shard's row keeps its owner out meanwhile (a transaction of some milliseconds), so nothing is written to an order
-- between the look and the end. A caller that dies leaves whole orders only.
create or replace function checkout.purge_orders(p_shard integer, p_before timestamptz, p_after bigint, p_limit integer, p_dry boolean,
                                                 out went_on bigint, out looked integer, out purged integer,
                                                 out kept_for_money integer, out kept_for_work integer, out busy boolean)
language plpgsql security definer set search_path = '' as $$
declare
    ids uuid[];
    keep uuid[];
begin
    p_before := least(p_before, now() - checkout.purge_memory());
    looked := 0;
    purged := 0;
    kept_for_money := 0;
    kept_for_work := 0;
    busy := false;
    if not p_dry and not checkout.keep_owners_out(array[p_shard]) then
        busy := true;
        went_on := p_after;
        return;
    end if;
    select array_agg(c.order_id), max(c.event_id), count(*) into ids, went_on, looked
      from checkout.orders_after(p_shard, p_after, p_limit) c
     where c.created_at < p_before;
    if looked < p_limit then
        went_on := null;
    end if;
    if looked = 0 then
        return;
    end if;
    if not p_dry then      -- a mailer, or whoever writes a command, has ended with them or finds none
        perform 1 from checkout.mails m where m.order_id = any (ids) order by m.mail_id for update;
        perform 1 from checkout.hook_deliveries d where d.order_id = any (ids) order by d.delivery_id for update;
    end if;
    with stay as (
        select k.order_id, bool_or(k.why in ('open', 'young')) as plain,
               bool_or(k.why in ('money', 'refund', 'dispute')) as money
          from checkout.orders_to_keep(p_shard, ids, p_before) k group by k.order_id)
    select coalesce(array_agg(s.order_id), '{}'), count(*) filter (where not s.plain and s.money),
           count(*) filter (where not s.plain and not s.money)
      into keep, kept_for_money, kept_for_work from stay s;
    ids := array(select o.order_id from checkout.orders o where o.order_id = any (ids) and o.order_id <> all (keep));
    purged := cardinality(ids);
    if purged > 0 and not p_dry then
        perform checkout.note_purged(ids);
        perform checkout.remove_orders(ids);
    end if;
end $$;

-- Deletes records of no order that ended before p_before: commands to items and shards, with the requests for them (and those to orders that there
-- never were), of the p_limit that come next after p_after; and, up to p_limit of each, take-overs that another followed
-- by then, and watermarks of relays. p_dry: only counts them. went_on: the command to go on behind; null: there are no more.
create or replace function checkout.purge_records(p_before timestamptz, p_after bigint, p_limit integer, p_dry boolean,
                                                  out went_on bigint, out removed bigint)
language plpgsql security definer set search_path = '' as $$
declare
    looked integer;
    commands bigint[];
    overs bigint[];
    requests bigint[];
    watermarks checkout.relay_log[];
begin
    p_before := least(p_before, now() - checkout.purge_memory());
    select coalesce(array_agg(w.command_id) filter (
               where w.state <> 'pending' and w.finished_at < p_before
                 and not exists (select 1 from checkout.orders o where o.order_id = w.order_id)), '{}'),
           max(w.command_id), count(*)
      into commands, went_on, looked
      from (select c.* from checkout.commands c where c.command_id > p_after order by c.command_id limit p_limit) w
     where w.created_at < p_before;
    requests := array(      -- those of these commands, and of items that were made
        select r.request_id from checkout.requests r where r.command_id = any (commands)
        union all
        (select r.request_id from checkout.requests r where r.command_id is null and r.created_at < p_before
          order by r.request_id limit p_limit));
    overs := array(
        select t.take_over_id from checkout.take_overs t
         where t.taken_at < p_before
           and exists (select 1 from checkout.take_overs n where n.shards = t.shards and n.shard = t.shard
                          and n.epoch > t.epoch and n.taken_at < p_before)
         order by t.take_over_id limit p_limit);
    watermarks := array(select l from checkout.relay_log l where l.saved_at < p_before limit p_limit);
    if not p_dry then
        delete from checkout.commands c where c.command_id = any (commands);
        delete from checkout.requests r where r.request_id = any (requests);
        delete from checkout.take_overs t where t.take_over_id = any (overs);
        delete from checkout.relay_log l using unnest(watermarks) m where l.shard = m.shard and l.relayed_to = m.relayed_to;
    end if;
    removed := cardinality(commands) + cardinality(requests) + cardinality(overs) + cardinality(watermarks);
    if looked < p_limit and (p_dry or cardinality(requests) < p_limit and cardinality(overs) < p_limit and cardinality(watermarks) < p_limit) then
        went_on := null;
    else
        went_on := coalesce(went_on, p_after);
    end if;
end $$;

-- Raises SQLSTATE CK006 for a reader of all events that has seen them up to these positions (the first is shard 0's),
-- if events behind one of them were purged: it would have a gap.
create or replace function checkout.refuse_behind_horizon(p_positions bigint[]) returns void
language plpgsql stable as $$
declare
    behind record;
begin
    select h.shard, h.purged_at into behind from checkout.horizons h
     where h.event_id > p_positions[h.shard + 1] order by h.shard limit 1;
    if found then
        raise exception 'events of shard % behind this position were purged (last on %)', behind.shard,
            to_char(behind.purged_at at time zone 'UTC', 'YYYY-MM-DD') using errcode = 'CK006';
    end if;
end $$;

-- The same for the buyer's page that has seen events up to p_after; 0: it wants all that there are.
create or replace function checkout.refuse_old_event(p_after bigint) returns boolean
language plpgsql stable as $$
begin
    if p_after > 0 and p_after < (select max(h.event_id) from checkout.horizons h) then
        raise exception 'events after % were purged', p_after using errcode = 'CK006';
    end if;
    return true;
end $$;

-- Orders that are purged and there again: decided twice.
create or replace function checkout.audit_purged() returns setof checkout.finding
language sql stable as $$
    select 'decided-again', o.sku, o.order_id::text, o.shard, null,
           format('it was purged as %s (ended %s), and is there again: %s', p.status, checkout.utc_text(p.ended_at), o.status)
      from checkout.purged_orders p join checkout.orders o on o.order_id = p.order_id
$$;
