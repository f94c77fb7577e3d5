-- The waitlist of an item: settling it, leaving it, expiring, and a place in it.

-- Ends waiting orders of an item, which leave its waitlist. The item's row is locked by the caller. Returns how
-- many there were.
create or replace function checkout.leave_waitlist(p_sku text, p_tickets bigint[], p_status text, p_reason text)
returns integer
language plpgsql as $$
declare
    home integer;
    moves checkout.move[];
begin
    with gone as (
        delete from checkout.waitlist w using unnest(p_tickets) as u(ticket)
         where w.sku = p_sku and w.ticket = u.ticket
        returning w.order_id, w.ticket, w.shard)
    select min(g.shard),
           array_agg(checkout.move_of(g.order_id, 'waiting', p_status, p_reason) order by g.ticket)
      into home, moves from gone g;
    if moves is null then
        return 0;
    end if;
    perform 1 from checkout.move_orders(home, moves);
    update checkout.items set waiting = waiting - cardinality(moves) where sku = p_sku;
    return cardinality(moves);
end $$;

-- Rejects up to p_limit waiting orders of an item that can no longer be served: those that want more
-- than stock - sold. The item's row is locked by the caller. Returns how many it rejected.
create or replace function checkout.reject_unservable(p_sku text, p_limit integer) returns integer
language plpgsql as $$
declare
    servable integer;
    head bigint;
    home integer;
    tickets bigint[];
begin
    select stock - sold, waitlist_head, shard into servable, head, home from checkout.items where sku = p_sku;
    if servable = 0 then    -- the whole waitlist, from its head
        tickets := array(select ticket from checkout.waitlist where sku = p_sku and ticket >= head
                          order by ticket limit p_limit);
        if cardinality(tickets) > 0 then
            update checkout.items set waitlist_head = tickets[cardinality(tickets)] + 1 where sku = p_sku;
        end if;
    else                    -- only the large orders in it
        tickets := array(select ticket from checkout.waitlist
                          where shard = home and sku = p_sku and quantity > servable
                          order by quantity, ticket limit p_limit);
    end if;
    return checkout.leave_waitlist(p_sku, tickets, 'rejected', 'sold_out');
end $$;

-- Promotes waiting orders from the head of an item's waitlist while they fit into the free units, up to
-- p_limit. The item's row is locked by the caller.
create or replace function checkout.promote_waiting(p_sku text, p_limit integer) returns setof checkout.output
language plpgsql as $$
declare
    servable integer;
    free integer;
    head bigint;
    home integer;
    moves checkout.move[];
begin
    select stock - sold, stock - sold - held, waitlist_head, shard into servable, free, head, home
      from checkout.items where sku = p_sku;
    with first as (         -- an order takes a unit at least, so no more than `free` can fit
        select l.ticket, l.order_id, l.quantity
          from checkout.waitlist l
         where l.sku = p_sku and l.ticket >= head and l.quantity <= servable
         order by l.ticket limit least(free, p_limit)),
    fits as (
        select f.ticket, f.order_id
          from (select first.*, sum(quantity) over (order by ticket) as units from first) f
         where f.units <= free),
    gone as (
        delete from checkout.waitlist l using fits where l.sku = p_sku and l.ticket = fits.ticket
        returning l.order_id, l.ticket)
    select array_agg(checkout.move_of(g.order_id, 'waiting', 'reserved', null) order by g.ticket)
      into moves from gone g;
    if moves is null then
        return;
    end if;

    return query
    with moved as materialized (
        select * from checkout.move_orders(home, moves)),
    intent as (
        insert into checkout.payments (order_id, shard, state, amount, currency, idempotency_key)
        select m.order_id, m.shard, 'open', m.amount, m.currency, m.order_id || '-1' from moved m),
    item as (
        update checkout.items i
           set held = i.held + s.units, waiting = i.waiting - cardinality(moves),
               waitlist_head = coalesce((select l.ticket from checkout.waitlist l
                                      where l.sku = p_sku and l.ticket >= head
                                      order by l.ticket limit 1), i.next_ticket)
          from (select coalesce(sum(quantity), 0)::integer as units from moved) s
         where i.sku = p_sku)
    select checkout.charge_task(m.order_id, 1, m.amount, m.currency, m.sku, m.payment_method, m.receipt_email,
                                0, null,
                                checkout.opaque_customer(m.user_id, (select s.salt from checkout.forget_salt s)),
                                null, null, 0, m.gateway_customer, m.quantity, m.reference, m.traceparent),
           null::checkout.news
      from moved m;
end $$;

-- Settles an item's waitlist, the end of every transaction that touches an item: refuses who can no longer
-- be served, promotes who fits. Bounded by p_limit each; the task settle_waitlist says that there is more. The
-- caller holds the fence and the item's row.
create or replace function checkout.settle_waiting(p_shards integer, p_sku text, p_limit integer)
returns setof checkout.output
language plpgsql as $$
declare
    item record;
    largest integer;
    rejected integer;
    promoted integer := 0;
begin
    select i.*, i.stock - i.sold as servable, s.paused as shard_paused into item
      from checkout.items i
      cross join lateral (select * from checkout.shards t where t.shards = p_shards and t.shard = i.shard limit 1) s
     where i.sku = p_sku;
    if not found or item.waiting = 0 then
        return;
    end if;
    select quantity into largest from checkout.waitlist
      where shard = item.shard and sku = p_sku order by quantity desc, ticket desc limit 1;
    if largest > item.servable then
        rejected := checkout.reject_unservable(p_sku, p_limit);
        if rejected > 0 then
            return next checkout.output_of(checkout.transition_news('rejected', 'sold_out', rejected));
        end if;
    end if;
    if item.servable > item.held and not item.paused and not item.shard_paused then
        return query select * from checkout.promote_waiting(p_sku, p_limit);
        get diagnostics promoted = row_count;
    end if;
    if coalesce(rejected, 0) >= p_limit or promoted >= p_limit then
        return next checkout.output_of(checkout.settle_waitlist_task(p_sku));
    end if;
end $$;

-- A further chunk of a waitlist, as a transaction of its own.
create or replace function checkout.settle_waitlist(p_shards integer, p_shard integer, p_epoch bigint, p_sku text,
                                                    p_limit integer)
returns setof checkout.output
language plpgsql as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    perform 1 from checkout.items where sku = p_sku and shard = p_shard for update skip locked;
    if found then           -- else the sweep finds it again
        return query select * from checkout.settle_waiting(p_shards, p_sku, p_limit);
    end if;
end $$;

-- The items of these shards that have a waitlist: one step in the index for each, and one for each shard. Each
-- names shard and item as one, for which no other index serves: with the shard alone in a condition, a plan may walk
-- the items of all shards, or sort all that wait in one.
create or replace function checkout.items_with_waitlist(p_shard_list integer[]) returns setof checkout.items
language plpgsql stable as $$
begin
    return query
    with recursive lined as (
        select s as home, n.shard, n.sku
          from unnest(p_shard_list) s
          cross join lateral (select l.shard, l.sku from checkout.waitlist l
                               where (l.shard, l.sku) > (s, '') order by l.shard, l.sku limit 1) n
        union all
        select lined.home, n.shard, n.sku
          from lined
          cross join lateral (select l.shard, l.sku from checkout.waitlist l
                               where (l.shard, l.sku) > (lined.shard, lined.sku)
                               order by l.shard, l.sku limit 1) n
         where lined.shard = lined.home)
    select i.*
      from lined cross join lateral (select * from checkout.items where items.sku = lined.sku limit 1) i
     where lined.shard = lined.home;
end $$;

-- A page of them: up to p_limit steps in the order of shards and SKUs, behind an item. A step over a shard that is not
-- asked for has an item, too.
create or replace function checkout.page_of_waitlists(p_shard_list integer[], p_after_shard integer, p_after text, p_limit integer)
returns table (shard integer, sku text, step integer)
language plpgsql stable as $$
begin
    return query
    with recursive page as (
        (select l.shard, l.sku, 1 as step from checkout.waitlist l
          where (l.shard, l.sku) > (p_after_shard, p_after) order by l.shard, l.sku limit 1)
        union all
        select n.shard, n.sku, page.step + 1
          from page
          cross join lateral (select case when page.shard = any (p_shard_list) then page.shard
                                          else (select min(s) from unnest(p_shard_list) s where s > page.shard) end as shard,
                                     case when page.shard = any (p_shard_list) then page.sku else '' end as sku) behind
          cross join lateral (select l.shard, l.sku from checkout.waitlist l
                               where (l.shard, l.sku) > (behind.shard, behind.sku)
                               order by l.shard, l.sku limit 1) n
         where page.step < p_limit)
    select page.shard, page.sku, page.step from page;
end $$;

-- Items of these shards with orders that have waited too long: by when they are due on the shard's clock, the first 256
-- of a shard. The clock of an item is never ahead of it. An item that was paused may hide others for a while; these
-- are found by their page (checkout.overdue).
create or replace function checkout.expired_waitlists(p_shards integer, p_shard_list integer[])
returns table (shard integer, sku text)
language plpgsql stable as $$
begin
    return query
    select distinct s.shard, w.sku
      from unnest(p_shard_list) as asked(shard)
      cross join lateral (select * from checkout.shards t where t.shards = p_shards and t.shard = asked.shard limit 1) s
      cross join lateral (select l.sku, l.expires_at from checkout.waitlist l
                           where l.shard = asked.shard and l.expires_at <= checkout.shard_clock(s)
                           order by l.expires_at limit 256) w
      cross join lateral (select * from checkout.items i where i.sku = w.sku limit 1) i
     where w.expires_at <= checkout.item_clock(i, s);
end $$;

-- Rejects up to p_limit orders of these items of a shard that have waited too long, and settles their waitlists.
-- (Null: of items that it finds itself.) The orders of a waitlist expire in their order, by the clock of its item, so
-- only heads are looked at.
create or replace function checkout.expire_waiting(p_shards integer, p_shard integer, p_epoch bigint, p_limit integer,
                                                   p_skus text[] default null)
returns setof checkout.output
language plpgsql as $$
declare
    touched text;
    skus text[];
    tickets bigint[];
    expired integer;
    room integer := p_limit;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    skus := coalesce(p_skus, array(select e.sku from checkout.expired_waitlists(p_shards, array[p_shard]) e));
    skus := array(select u.sku from unnest(skus) as u(sku)
                  except select h.sku from unnest(checkout.lock_items(p_shard, skus)) as h(sku) order by 1);

    foreach touched in array skus
    loop
        exit when room <= 0;
        tickets := array(
            select h.ticket
              from (select l.ticket, l.expires_at
                      from checkout.waitlist l
                     where l.sku = touched
                       and l.ticket >= (select i.waitlist_head from checkout.items i where i.sku = touched)
                     order by l.ticket limit room) h
             where h.expires_at <= (select checkout.item_clock(i, s)
                                      from checkout.items i
                                     cross join lateral (select * from checkout.shards t
                                                          where t.shards = p_shards and t.shard = i.shard limit 1) s
                                     where i.sku = touched));
        expired := checkout.leave_waitlist(touched, tickets, 'rejected', 'expired');
        if expired > 0 then
            room := room - expired;
            update checkout.items i
               set waitlist_head = coalesce((select l.ticket from checkout.waitlist l
                                          where l.sku = touched and l.ticket >= i.waitlist_head
                                          order by l.ticket limit 1), i.next_ticket)
             where i.sku = touched;
            return next checkout.output_of(checkout.transition_news('rejected', 'expired', expired));
            return query select * from checkout.settle_waiting(p_shards, touched, 64);
        end if;
    end loop;
end $$;

-- An order's place among those that wait for its item, 1 = next; null if it does not wait. Exact for the
-- first 1,000; further back it may be high by those that left the waitlist in the middle.
create or replace function checkout.place_in_line(p_order uuid) returns bigint
language sql stable as $$
    select case when o.ticket - h.ticket < 1000
                then (select count(*) from checkout.waitlist l
                       where l.sku = o.sku and l.ticket between h.ticket and o.ticket)
                else least(o.ticket - h.ticket + 1, i.waiting) end
      from checkout.orders o
      join checkout.items i on i.sku = o.sku
      cross join lateral (select l.ticket from checkout.waitlist l
                           where l.sku = o.sku and l.ticket >= i.waitlist_head order by l.ticket limit 1) h
     where o.order_id = p_order and o.status = 'waiting'
$$;

-- When an order's time on the waitlist is up, by the database's clock; null: it does not wait, or the clock of its item
-- stands still now (who knows until when).
create or replace function checkout.waits_until(p_order uuid) returns timestamptz
language sql stable as $$
    select l.expires_at + checkout.clock_behind_ms(o.sku) * interval '1 ms'
      from checkout.orders o
      join checkout.waitlist l on l.sku = o.sku and l.ticket = o.ticket
     where o.order_id = p_order and o.status = 'waiting'
$$;
