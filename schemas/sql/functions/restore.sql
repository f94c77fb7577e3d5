-- How a database that is behind the milestones becomes the shop's newest (checkoutctl restore finish). No program serves
-- meanwhile: it is refused from the first step to the last. Each step may be repeated.

-- The first step: event ids and epochs go on above all that the milestones know of, and no epoch of before goes on. Returns why it
-- is behind; null: it is not, and nothing was done. p_anyway: also without a milestone that says so.
create or replace function checkout.begin_restore(p_milestones text[], p_anyway boolean, p_by text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    here constant text := checkout.database_identity();
    found constant text := checkout.compare_milestones(p_milestones);
    why text;
    last bigint;
    marked bigint;
begin
    insert into checkout.database_check default values on conflict do nothing;
    select coalesce(case when c.identity = here or c.refused = checkout.restore_begun() then c.refused end, found,
                    case when p_anyway then checkout.restore_begun() end), c.reserved_to
      into why, marked
      from checkout.database_check c for update;
    if why is null then
        return null;
    end if;
    update checkout.database_check c
       set identity = here, refused = why, compared_at = now(), compared_by = left(p_by, 200);
    select s.last_value into last from checkout.event_ids s;
    marked := greatest(marked, (select max((m.milestone ->> 'reserved')::bigint) from checkout.shop_milestones(p_milestones) m),
                       (select max(m.event_id) from checkout.marked_events(p_milestones) m), case when found is null then last + 100000000 end);
    if marked > last then
        perform setval('checkout.event_ids', marked);
    end if;
    with raised as (
        update checkout.shards s
           set owner = null,
               epoch = 1 + greatest(s.epoch, (select max(m.epoch) from checkout.marked_events(p_milestones) m where m.shard = s.shard))
          from checkout.service v
         where s.shards = v.shards
        returning s.shards, s.shard, s.epoch)
    insert into checkout.take_overs (shards, shard, epoch, member, name, released_at)
    select r.shards, r.shard, r.epoch, 0, left('restore: ' || p_by, 100), clock_timestamp() from raised r;
    return why;
end $$;

-- The name of an order's customer, of whom only this digest is known, and the name if it is found among the customers that
-- are known. No buyer logs in with it: status shows such an order to whom its id proves to be its buyer.
create or replace function checkout.adopted_customer(p_customer text) returns text
language sql stable as $$
    select coalesce(
        (select u.user_id
           from (select distinct t.user_id from checkout.customer_units t) u
           cross join checkout.forget_salt s
          where checkout.opaque_customer(u.user_id, s.salt) = p_customer limit 1),
        'adopted:' || coalesce(p_customer, ''))
$$;

-- What is to be done about a payment in the gateway's list: 'adopted' (it was; if p_dry, it would be), 'known', or why it
-- cannot be: 'no-facts', 'no-item', 'no-room', 'ended'. Its order becomes confirmed, as it was; also one that still waits
-- here, which would be asked for again, or be rejected although it was paid. Whoever serves its shard meanwhile waits for its row.
create or replace function checkout.adopt_order(p_order uuid, p_intent text, p_sku text, p_quantity integer, p_amount bigint,
                                                p_currency text, p_reference text, p_customer text, p_user text, p_dry boolean)
returns text
language plpgsql as $$
declare
    o record;
    i record;
    served record;
    place checkout.move;
begin
    select t.status, t.sku, t.quantity, t.ticket into o from checkout.orders t where t.order_id = p_order;
    if o.status in ('reserved', 'confirmed', 'refunded')       -- an open payment finds what was taken
       or exists (select 1 from checkout.purged_orders u where u.order_id = p_order) then
        return 'known';
    elsif o.status in ('rejected', 'cancelled') then
        return case when exists (select 1 from checkout.payments p where p.order_id = p_order and p.intent_id = p_intent)
                    then 'known' else 'ended' end;
    end if;
    p_sku := coalesce(o.sku, p_sku);
    p_quantity := coalesce(o.quantity, p_quantity);
    if p_sku is null or coalesce(p_quantity, 0) <= 0 then
        return 'no-facts';
    end if;
    select t.shard, t.stock - t.held - t.sold as free into i from checkout.items t where t.sku = p_sku;
    if not found then
        return 'no-item';
    elsif i.free < p_quantity then
        return 'no-room';
    elsif p_dry then
        return 'adopted';
    end if;
    select s.epoch into served from checkout.service v
      join checkout.shards s on s.shards = v.shards and s.shard = i.shard
       for no key update of s;
    perform set_config('checkout.epoch', served.epoch::text, true);
    perform 1 from checkout.items t where t.sku = p_sku for no key update;
    select t.stock - t.held - t.sold as free into i.free from checkout.items t where t.sku = p_sku;
    if i.free < p_quantity then
        return 'no-room';
    elsif o.status = 'waiting' then
        delete from checkout.waitlist w where w.sku = p_sku and w.ticket = o.ticket;
        if not found then
            return 'known';                     -- it left the waitlist while we waited for its shard
        end if;
        update checkout.items t set waiting = t.waiting - 1 where t.sku = p_sku;
        perform checkout.move_orders(i.shard, array[checkout.move_of(p_order, 'waiting', 'reserved', null)]);
    elsif exists (select 1 from checkout.orders t where t.order_id = p_order) then
        return 'known';                         -- another one has adopted it meanwhile
    else
        delete from checkout.jobs_aside a where a.order_id = p_order returning coalesce(p_user, a.user_id) into place.user_id;
        place.order_id := p_order;
        place.status := 'reserved';
        place.user_id := coalesce(place.user_id, p_user, checkout.adopted_customer(p_customer));
        place.sku := p_sku;
        place.quantity := p_quantity;
        place.amount := p_amount;
        place.currency := p_currency;
        place.fingerprint := '';
        place.reference := p_reference;
        perform checkout.move_orders(i.shard, array[place]);
    end if;
    perform checkout.move_orders(i.shard, array[checkout.move_of(p_order, 'reserved', 'confirmed', null)]);
    insert into checkout.payments (order_id, shard, state, amount, currency, idempotency_key, intent_id, code)
    values (p_order, i.shard, 'captured', p_amount, p_currency, p_order || '-1', p_intent, 'adopted');
    update checkout.items t set sold = t.sold + p_quantity where t.sku = p_sku;
    perform pg_notify('checkout_commands', i.shard::text);     -- whoever serves the shard publishes its events
    return 'adopted';
end $$;

-- Whether this is how the order came to be confirmed.
create or replace function checkout.was_adopted(p_order uuid) returns boolean
language sql stable as $$
    select exists (select 1 from checkout.payments p where p.order_id = p_order and p.code = 'adopted')
$$;

-- A page of them, {"order", "intent", "sku", "quantity", "amount", "currency", "reference", "customer"}, the oldest first.
create or replace function checkout.adopt_orders(p_page jsonb, p_dry boolean)
returns table (order_id uuid, intent_id text, sku text, amount bigint, currency text, result text)
language plpgsql security definer set search_path = '' as $$
begin
    return query
    select p."order", p.intent, p.sku, p.amount, p.currency,
           checkout.adopt_order(p."order", p.intent, p.sku, p.quantity, p.amount, p.currency, p.reference, p.customer, null, p_dry)
      from jsonb_to_recordset(p_page) as p("order" uuid, intent text, sku text, quantity integer, amount bigint, currency text,
                                           reference text, customer text);
end $$;

-- A line of the shop's feed (`events follow`) about an order: 'ended' (the database did not know it, or it waited there, and now
-- it is rejected or cancelled as its buyer has heard), 'named' (it was adopted without its customer's name, and has it now),
-- 'no-payment' (it was confirmed, and the gateway's list has no payment of it), 'refunded' (it was, afterwards), 'known'.
create or replace function checkout.adopt_line(p_line jsonb, p_dry boolean) returns text
language plpgsql as $$
declare
    id constant uuid := (p_line ->> 'order_id')::uuid;
    name constant text := p_line ->> 'user_id';
    end_ constant text := p_line ->> 'status';
    o record;
begin
    if id is null or name is null or end_ is null or exists (select 1 from checkout.purged_orders u where u.order_id = id) then
        return 'known';
    end if;
    select t.order_id, t.user_id, t.status into o from checkout.orders t where t.order_id = id;
    if o.user_id like 'adopted:%' and end_ = 'confirmed' then
        if not p_dry then
            perform checkout.name_adopted(id, name);
        end if;
        return 'named';
    elsif o.status <> 'waiting' or end_ not in ('confirmed', 'refunded', 'rejected', 'cancelled') then
        return 'known';
    elsif end_ in ('confirmed', 'refunded') then
        return case end_ when 'confirmed' then 'no-payment' else end_ end;
    elsif p_dry or checkout.adopt_end(p_line) then
        return 'ended';
    end if;
    return 'known';
end $$;

-- The order of such a line ends as it says; the database does not know it, or it waits there. Returns whether it did.
create or replace function checkout.adopt_end(p_line jsonb) returns boolean
language plpgsql as $$
declare
    id constant uuid := (p_line ->> 'order_id')::uuid;
    end_ constant text := p_line ->> 'status';
    why constant text := case when end_ = 'rejected' then p_line ->> 'reason' end;
    o record;
    served record;
    place checkout.move;
begin
    select t.shard, t.sku, t.ticket into o from checkout.orders t where t.order_id = id;
    select s.shard, s.epoch into served from checkout.service v
      join checkout.shards s on s.shards = v.shards and s.shard = coalesce(o.shard, (p_line ->> 'shard')::integer)
       for no key update of s;
    if not found then
        return false;
    end if;
    perform set_config('checkout.epoch', served.epoch::text, true);
    if o.shard is not null then
        perform 1 from checkout.items t where t.sku = o.sku for no key update;
        return checkout.leave_waitlist(o.sku, array[o.ticket], end_, why) > 0;
    elsif exists (select 1 from checkout.orders t where t.order_id = id) then
        return false;                           -- another one has made it meanwhile
    end if;
    delete from checkout.jobs_aside a where a.order_id = id;
    place.order_id := id;
    place.status := end_;
    place.reason := why;
    place.user_id := p_line ->> 'user_id';
    place.sku := p_line ->> 'sku';
    place.quantity := (p_line ->> 'quantity')::integer;
    place.amount := (p_line ->> 'amount')::bigint;
    place.currency := p_line ->> 'currency';
    place.fingerprint := '';
    place.reference := p_line ->> 'reference';
    perform checkout.move_orders(served.shard, array[place]);
    return true;
end $$;

-- A page of such lines, in their order.
create or replace function checkout.adopt_feed(p_page jsonb, p_dry boolean)
returns table (order_id text, result text)
language sql security definer set search_path = '' as $$
    select l.line ->> 'order_id', checkout.adopt_line(l.line, p_dry)
      from jsonb_array_elements(p_page) with ordinality l(line, n) order by l.n
$$;

-- From when on the gateway's list may hold what this database does not know, in seconds since 1970: everything of before
-- its newest event is in it. (A payment is made after the event by which its order was reserved.)
create or replace function checkout.restore_since() returns bigint
language sql stable security definer set search_path = '' as $$
    select coalesce((extract(epoch from max(e.created_at)) - 600)::bigint, 0)
      from (select (select n.created_at from checkout.order_events n where n.shard = s
                      order by checkout.span_of(n.event_id) desc, n.event_id desc limit 1)
              from checkout.service v cross join lateral generate_series(0, v.shards - 1) s) e(created_at)
$$;

-- The last step: a new generation, above that of all milestones. From here on programs serve from it, and from no older copy.
-- Returns the generation; null: there was nothing to finish.
create or replace function checkout.finish_restore(p_milestones text[], p_by text) returns bigint
language sql security definer set search_path = '' as $$
    update checkout.database_check c
       set generation = 1 + greatest(c.generation, checkout.marked_generation(p_milestones)), refused = null,
           identity = checkout.database_identity(), compared_at = now(), compared_by = left(p_by, 200),
           reserved_to = null
     where c.refused is not null
    returning c.generation
$$;
