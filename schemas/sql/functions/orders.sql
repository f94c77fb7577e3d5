-- Orders and their history. checkout.move_orders is the one place where an order is made and where its state
-- changes: nothing else writes checkout.orders, checkout.order_events or checkout.customer_units, or makes a mail, and the
-- role of the consumer may not. checkout.remove_orders takes away what was purged.

-- The steps that there are. From reserved to reserved: an event tells its buyer something about it.
create or replace function checkout.may_move(p_from text, p_to text) returns boolean
language sql immutable
return case p_from
    when 'waiting' then p_to in ('reserved', 'rejected', 'cancelled')
    when 'reserved' then p_to in ('reserved', 'confirmed', 'rejected', 'cancelled')
    when 'confirmed' then p_to = 'refunded'
    else p_from is null and p_to in ('waiting', 'reserved', 'rejected', 'cancelled')
end;

-- A move of an order that is there; of one whose payment failed, what its buyer can do.
create or replace function checkout.move_of(
    p_order uuid, p_from text, p_to text, p_reason text, p_problem text default null, p_param text default null)
returns checkout.move language sql immutable
return row(p_order, p_from, p_to, p_reason, null, null, null, null, null, null, null, null, null, null, null, null,
           null, null, p_problem, p_param, null, null, null)::checkout.move;

-- Moves orders of a shard: makes the new ones, and takes the others from the state that they are said to be in
-- to another. Each has an event, in the order of the moves. One that is in another state by now, or a step
-- that there is not, is left out. A mail that tells of it has a row in checkout.mails. Returns the orders that it
-- moved, as they are now: units, intents and waitlists change for these alone. An ended order forgets its payment method, and whose that is. The caller holds the fence,
-- and the rows of the items whose units change.
create or replace function checkout.move_orders(p_shard integer, p_moves checkout.move[])
returns setof checkout.orders
language plpgsql security definer set search_path = '' as $$
begin
    return query
    with move as materialized (
        select m.* from unnest(p_moves) with ordinality m
         where checkout.may_move(m.from_status, m.status)),
    made as (
        insert into checkout.orders
            (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint,
             reference, receipt_email, payment_method, traceparent, ticket, sequence, accepted_at,
             gateway_customer, mail_to, locale)
        select m.order_id, m.user_id, coalesce(m.sku, ''), p_shard, coalesce(m.quantity, 0), m.status,
               m.reason, m.amount, m.currency, coalesce(m.fingerprint, ''), m.reference, m.receipt_email,
               case when m.status in ('waiting', 'reserved') then m.payment_method end, m.traceparent,
               m.ticket, 1, coalesce(m.accepted_at, now()),
               case when m.status in ('waiting', 'reserved') then m.gateway_customer end, m.mail_to, m.locale
          from move m where m.from_status is null
        returning *),
    changed as (
        update checkout.orders o
           set status = m.status, reason = m.reason, ticket = null,
               payment_problem = m.payment_problem, payment_param = m.payment_param,
               payment_method = case when m.status = 'reserved' then o.payment_method end,
               gateway_customer = case when m.status = 'reserved' then o.gateway_customer end,
               sequence = o.sequence + 1, updated_at = now()
          from move m
         where m.from_status is not null         -- no look for those that are made
           and o.order_id = m.order_id and o.status = m.from_status and o.shard = p_shard
        returning o.*),
    appended as (
        insert into checkout.order_events (shard, order_id, sequence, status, reason, place_in_line)
        (select p_shard, m.order_id, 1, m.status, m.reason, m.place
           from move m where m.from_status is null order by m.ordinality)
        union all
        select p_shard, c.order_id, c.sequence, c.status, c.reason, null from changed c),
    mailed as (                                 -- most orders have no address
        insert into checkout.mails (order_id, kind, due_at)
        select k.order_id, k.kind, now() + case k.kind when 'waiting' then interval '60 s' else interval '0 s' end
          from (select n.order_id, checkout.mail_kind(n.order_id, n.status, n.sequence) as kind
                  from (select * from made union all select * from changed) n where n.mail_to is not null) k
         where k.kind = any (array(select unnest(s.kinds) from checkout.mail_settings s))
            on conflict (order_id, kind) do nothing),
    units as materialized (                     -- that customers have more, or fewer, of an item
        select u.sku, u.user_id, sum(u.units) as units
          from (select m.sku, m.user_id, m.quantity as units from made m where m.status in ('waiting', 'reserved')
                union all
                select c.sku, c.user_id, -c.quantity from changed c where c.status not in ('reserved', 'confirmed')) u
         group by u.sku, u.user_id),
    gained as (
        insert into checkout.customer_units as t (sku, user_id, units)
        select u.sku, u.user_id, u.units from units u where u.units > 0
            on conflict (sku, user_id) do update set units = t.units + excluded.units),
    lost as (                                   -- a count that is wrong, which the audit finds, holds no order up
        update checkout.customer_units t set units = greatest(0, t.units + u.units)
          from units u where u.units < 0 and t.sku = u.sku and t.user_id = u.user_id)
    select * from made
    union all
    select * from changed;
end $$;

-- An order that had ended when the number of shards changed still has its old shard: takes it and its money to the shard of
-- its item, if that is p_shard, whose fence the caller holds.
create or replace function checkout.bring_home(p_order uuid, p_shard integer) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update checkout.orders o set shard = p_shard
     where o.order_id = p_order and o.shard <> p_shard
       and exists (select 1 from checkout.items i where i.sku = o.sku and i.shard = p_shard);
    if found then
        update checkout.payments p set shard = p_shard where p.order_id = p_order;
        update checkout.refunds r set shard = p_shard where r.order_id = p_order;
    end if;
end $$;

-- Orders of which anything is open go to the shard of their item, with their money; others when something is asked of
-- them (checkout.bring_home).
create or replace function checkout.move_open_orders() returns void
language plpgsql as $$
declare
    ids constant uuid[] := array(
        select w.order_id from checkout.waitlist w
        union select p.order_id from checkout.payments p where p.state = 'open' or p.look_at is not null
        union select f.order_id from checkout.refunds f where f.state = 'open'
        union select l.order_id from checkout.return_looks l);
begin
    update checkout.orders o set shard = i.shard from checkout.items i
     where o.order_id = any (ids) and i.sku = o.sku and o.shard <> i.shard;
    update checkout.payments p set shard = o.shard from checkout.orders o
     where p.order_id = any (ids) and o.order_id = p.order_id and p.shard <> o.shard;
    update checkout.refunds f set shard = o.shard from checkout.orders o
     where f.order_id = any (ids) and o.order_id = f.order_id and f.shard <> o.shard;
    update checkout.return_looks l set shard = o.shard from checkout.orders o
     where o.order_id = l.order_id and l.shard <> o.shard;
end $$;

-- Takes these orders away, with all that refers to them, and moves the horizons of the shards of their events. The caller has
-- noted what is left of them (checkout.note_purged), in the same transaction, and keeps their shards' writers out.
drop function if exists checkout.remove_orders(integer, uuid[]);
create or replace function checkout.remove_orders(p_ids uuid[]) returns void
language plpgsql as $$
declare
    hashes constant integer[] := array(select uuid_hash(i) from unnest(p_ids) i);     -- by which their events are found
    newest record;
begin
    for newest in           -- events keep the shard under which they were written
        select g.shard, max(g.event_id) as event_id
          from (select e.shard, e.event_id from checkout.order_events e
                 where uuid_hash(e.order_id) = any (hashes) and e.order_id = any (p_ids)
                union all
                select r.shard, r.event_id from checkout.returns r where r.order_id = any (p_ids)) g
         group by g.shard order by g.shard
    loop
        insert into checkout.horizons as h (shard, event_id) values (newest.shard, newest.event_id)
            on conflict (shard) do update set event_id = greatest(h.event_id, excluded.event_id), purged_at = now();
    end loop;
    with gone as (
        delete from checkout.orders o where o.order_id = any (p_ids)
        returning o.sku, o.user_id, o.quantity, o.status)
    update checkout.customer_units t set purged = t.purged + g.units
      from (select o.sku, o.user_id, sum(o.quantity) as units from gone o
             where o.status = 'confirmed' group by o.sku, o.user_id) g
     where t.sku = g.sku and t.user_id = g.user_id;
    delete from checkout.order_events e where uuid_hash(e.order_id) = any (hashes) and e.order_id = any (p_ids);
    delete from checkout.returns r where r.order_id = any (p_ids);
    delete from checkout.payments p where p.order_id = any (p_ids);
    delete from checkout.refunds r where r.order_id = any (p_ids);
    delete from checkout.mails m where m.order_id = any (p_ids);
    delete from checkout.hook_deliveries d where d.order_id = any (p_ids);
    delete from checkout.commands c where c.order_id is not null and c.state <> 'pending' and c.order_id = any (p_ids);
    delete from checkout.requests q where q.order_id is not null and q.order_id = any (p_ids);
end $$;

-- Gives these orders of a customer (of one shard) another name, with the units that they count for, and takes away what
-- may lead to a person: addresses, the shop's reference, the fingerprint. The caller keeps the shard's writers out.
create or replace function checkout.rename_orders(p_ids uuid[], p_user text, p_name text) returns void
language plpgsql as $$
begin
    with renamed as (
        update checkout.orders o
           set user_id = p_name, receipt_email = null, mail_to = null, locale = null, reference = null, fingerprint = ''
         where o.order_id = any (p_ids) and o.user_id = p_user and o.status not in ('waiting', 'reserved')
        returning o.sku, o.quantity, o.status),
    units as materialized (
        select r.sku, sum(r.quantity) as units from renamed r where r.status = 'confirmed' group by r.sku),
    taken as (
        update checkout.customer_units t set units = greatest(0, t.units - u.units)
          from units u where t.sku = u.sku and t.user_id = p_user),
    counted as (
        insert into checkout.forgotten_units as t (sku, buyer, units)
        select u.sku, checkout.buyer_digest(p_user), u.units
          from units u join checkout.items i on i.sku = u.sku where i.limit_per_user is not null order by u.sku
            on conflict (sku, buyer) do update set units = t.units + excluded.units)
    insert into checkout.customer_units as t (sku, user_id, units)
    select u.sku, p_name, u.units from units u order by u.sku
        on conflict (sku, user_id) do update set units = t.units + excluded.units;
end $$;

-- Gives an order that a restore adopted the name of its customer, with the units that it counts for. The caller keeps the
-- shard's writers out.
create or replace function checkout.name_adopted(p_order uuid, p_name text) returns void
language plpgsql as $$
declare
    known record;
begin
    select o.user_id, o.sku, o.quantity into strict known from checkout.orders o where o.order_id = p_order;
    update checkout.orders o set user_id = p_name where o.order_id = p_order;
    update checkout.customer_units t set units = greatest(0, t.units - known.quantity)
     where t.sku = known.sku and t.user_id = known.user_id;
    insert into checkout.customer_units as t (sku, user_id, units) values (known.sku, p_name, known.quantity)
        on conflict (sku, user_id) do update set units = t.units + excluded.units;
end $$;

-- As rename_orders, of what is left of a customer's units of these items: those of purged orders. The caller keeps the writers of
-- their shards out.
drop function if exists checkout.rename_counts(text, text);
create or replace function checkout.rename_counts(p_skus text[], p_user text, p_name text) returns void
language plpgsql as $$
begin
    with gone as (
        delete from checkout.customer_units t where t.sku = any (p_skus) and t.user_id = p_user returning t.sku, t.units, t.purged),
    counted as (
        insert into checkout.forgotten_units as t (sku, buyer, units)
        select g.sku, checkout.buyer_digest(p_user), g.units
          from gone g join checkout.items i on i.sku = g.sku
         where i.limit_per_user is not null and g.units > 0 order by g.sku
            on conflict (sku, buyer) do update set units = t.units + excluded.units)
    insert into checkout.customer_units as t (sku, user_id, units, purged)
    select g.sku, p_name, g.units, g.purged from gone g where g.units > 0 or g.purged > 0 order by g.sku
        on conflict (sku, user_id) do update set units = t.units + excluded.units, purged = t.purged + excluded.purged;
end $$;

-- Those of the orders that were decided, each with its number in the list: for the producer, where an order comes again.
-- Of one that was purged only the end is known, and not with which body it came: it has no fingerprint.
create or replace function checkout.known_orders(p_orders uuid[])
returns table (n bigint, order_id uuid, status text, reason text, sku text, quantity integer, amount bigint,
               currency text, created_at timestamptz, updated_at timestamptz, reference text, payment_problem text,
               payment_param text, fingerprint text)
language plpgsql stable as $$
declare
    found_here integer;
begin
    return query
    select asked.n, o.order_id, o.status, o.reason, o.sku, o.quantity, o.amount, o.currency, o.created_at,
           o.updated_at, o.reference, o.payment_problem, o.payment_param, o.fingerprint
      from unnest(p_orders) with ordinality asked(id, n)
      join checkout.orders o on o.order_id = asked.id;
    get diagnostics found_here = row_count;
    if found_here < cardinality(p_orders) then
        return query
        select asked.n, p.order_id, p.status, p.reason, null::text, null::integer, null::bigint, null::text, null::timestamptz,
               p.ended_at, null::text, null::text, null::text, null::text
          from unnest(p_orders) with ordinality asked(id, n)
          join checkout.purged_orders p on p.order_id = asked.id;
    end if;
end $$;
