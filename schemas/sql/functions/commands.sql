-- Commands: what comes from outside the queue. Asking for them, and what executes them in their order.

-- Wakes the owner of the shard; the sweep finds what it did not hear.
create or replace function checkout.tell_command() returns trigger
language plpgsql as $$
begin
    perform pg_notify('checkout_commands', new.shard::text);
    return null;
end $$;

create or replace trigger tell_command after insert or update of shard on checkout.commands
    for each row when (new.shard is not null and new.state = 'pending')
    execute function checkout.tell_command();

-- A buyer wants to cancel. Returns the order's status, 'queued' if no consumer has decided it, 'acting' if
-- its buyer is at the bank, 'forgotten' if its customer was; the command is written (once) if it is queued or waiting, or so. The caller has
-- checked that the id is genuine. (It is all that the producer may ask for, with hear_gateway: roles.sql.)
create or replace function checkout.request_cancel(p_order uuid, p_user text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    known record;
begin
    select case when o.user_id <> p_user then 'forgotten'
                when o.status = 'reserved' and checkout.open_action(o.order_id) is not null then 'acting'
                else o.status end as status, o.shard into known
      from checkout.orders o where o.order_id = p_order;
    if not found then
        select p.status, null::integer as shard into known from checkout.purged_orders p where p.order_id = p_order;
    end if;
    if known.status is null or known.status in ('waiting', 'acting') then
        insert into checkout.commands (kind, shard, order_id, user_id, requested_by)
        values ('cancel', known.shard, p_order, p_user, 'buyer')
            on conflict (order_id) where kind = 'cancel' and state = 'pending' do nothing;
    end if;
    return coalesce(known.status, 'queued');
end $$;

-- The shard of an order that has come: it is decided, or set aside. Null: it has not. That is the shard of its item, also
-- where it still carries the one of another number of shards (checkout.bring_home).
create or replace function checkout.home_of(p_order uuid) returns integer
language plpgsql stable as $$
begin
    return coalesce((select coalesce((select i.shard from checkout.items i where i.sku = o.sku), o.shard)
                       from checkout.orders o where o.order_id = p_order),
                    (select a.shard from checkout.jobs_aside a where a.order_id = p_order));
end $$;

-- What is wrong with a command before anything is asked: it names one shard, which is that of its order or item (so
-- the fence of its owner holds for all that it changes), or with pause and resume a whole shard. Null: nothing.
create or replace function checkout.stray_command(c checkout.commands) returns text
language plpgsql stable as $$
declare
    of_order constant boolean := c.kind in ('cancel', 'refund', 'resolve', 'webhook', 'expire', 'readmit');
    home integer;
begin
    if of_order <> (c.order_id is not null) or of_order and c.sku is not null
       or c.kind in ('restock', 'set') and c.sku is null then
        return c.kind || ' does not fit what it names';
    elsif of_order then
        home := checkout.home_of(c.order_id);
    elsif c.sku is not null then
        select i.shard into home from checkout.items i where i.sku = c.sku;
    end if;
    if home <> c.shard then
        return format('its %s is of shard %s', case when of_order then 'order' else 'item' end, home);
    end if;
    return null;
end $$;

-- Raises that (SQLSTATE 22023): such a command is not written.
create or replace function checkout.refuse_stray(c checkout.commands) returns void
language plpgsql stable as $$
declare
    problem constant text := checkout.stray_command(c);
begin
    if problem is not null then
        raise exception '%', problem using errcode = '22023';
    end if;
end $$;

-- An operator wants something of an item, or (p_sku null) of a shard. No row: there is no such thing.
create or replace function checkout.request_command(p_kind text, p_sku text, p_shard integer, p_argument jsonb,
                                         p_requested_by text)
returns table (command_id bigint, shard integer)
language plpgsql as $$
#variable_conflict use_column
declare
    c checkout.commands;
begin
    c.kind := p_kind;
    c.sku := p_sku;
    c.shard := p_shard;
    perform checkout.refuse_stray(c);
    return query
    insert into checkout.commands (kind, shard, sku, argument, requested_by)
    select p_kind, i.shard, i.sku, p_argument, p_requested_by from checkout.items i where i.sku = p_sku
    union all
    select p_kind, p_shard, null, p_argument, p_requested_by from checkout.service v
     where p_sku is null and p_shard between 0 and v.shards - 1
    returning command_id, shard;
end $$;

-- An operator wants something of an order that was decided, or set aside. No row: there is no such order. A cancel that
-- is pending already is not asked for twice.
create or replace function checkout.request_order_command(p_kind text, p_order uuid, p_argument jsonb,
                                               p_requested_by text)
returns table (command_id bigint, shard integer)
language plpgsql as $$
#variable_conflict use_column
declare
    c checkout.commands;
begin
    c.kind := p_kind;
    c.order_id := p_order;
    perform checkout.refuse_stray(c);
    return query
    insert into checkout.commands (kind, shard, order_id, argument, requested_by)
    select p_kind, h.shard, p_order, p_argument, p_requested_by
      from (select checkout.home_of(p_order) as shard) h where h.shard is not null
        on conflict (order_id) where kind = 'cancel' and state = 'pending' do nothing
    returning command_id, shard;
    if not found and p_kind = 'cancel' then
        return query
        select t.command_id, t.shard from checkout.commands t
         where t.order_id = p_order and t.kind = 'cancel' and t.state = 'pending';
    end if;
end $$;

-- A cancel and its order that were written at the same time have not seen each other: gives such cancels
-- their shard. Looks at p_limit cancels behind p_after; returns where to go on, 0 at the end.
create or replace function checkout.place_cancels(p_after bigint, p_limit integer) returns bigint
language plpgsql as $$
declare
    seen record;
    here bigint[];
begin
    select coalesce(array_agg(c.command_id), '{}') as commands, coalesce(array_agg(c.order_id), '{}') as orders,
           max(c.command_id) as newest, count(*) as count
      into seen
      from (select command_id, order_id from checkout.commands
             where shard is null and state = 'pending' and command_id > p_after
             order by command_id limit p_limit) c;
    here := array(select u.command_id
                    from unnest(seen.commands, seen.orders) as u(command_id, order_id)
                   where checkout.home_of(u.order_id) is not null);
    if cardinality(here) > 0 then
        update checkout.commands c
           set shard = checkout.home_of(c.order_id)
         where c.command_id = any (here) and c.state || '' = 'pending';    -- not by the index of all such
    end if;
    return case when seen.count < p_limit then 0 else seen.newest end;
end $$;

-- An amount in the gateway's minor units as people write it: 19.99 usd (common/pay/currency.c has all about currencies).
create or replace function checkout.money_text(p_amount bigint, p_currency text) returns text
language sql immutable
return case when lower(p_currency) in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf',
                                       'xof', 'xpf') then p_amount::text
            when lower(p_currency) in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then round(p_amount / 1000.0, 3)::text
            else round(p_amount / 100.0, 2)::text end || ' ' || p_currency;

-- Executing: a function for each kind. It returns what follows, and at the end the result (checkout.command_end)
-- in words. The caller holds the fence and the item's row, and settles the item's waitlist afterwards.

create or replace function checkout.command_end(c checkout.commands, p_state text, p_result text)
returns checkout.output language sql immutable
return checkout.output_of(checkout.command_news(c, p_state, p_result));

-- Ends an order whose job is set aside; its item's row is not needed. Returns whether there was one.
create or replace function checkout.cancel_aside(c checkout.commands) returns boolean
language plpgsql as $$
declare
    j checkout.jobs_aside;
begin
    delete from checkout.jobs_aside a where a.order_id = c.order_id and a.shard = c.shard
       and (c.user_id is null or a.user_id = c.user_id)
    returning * into j;
    if not found then
        return false;
    end if;
    delete from checkout.items_aside i
     where i.shard = j.shard and i.sku = j.sku
       and not exists (select 1 from checkout.jobs_aside a where a.shard = j.shard and a.sku = j.sku);
    perform 1 from checkout.move_orders(j.shard, array(
        select row(j.order_id, null, 'cancelled', null, null, null, null, j.user_id, j.sku, j.quantity,
                   i.price * j.quantity, i.currency, j.fingerprint, j.reference, j.receipt_email, j.payment_method,
                   j.traceparent, j.accepted_at, null, null, j.gateway_customer, null, null)::checkout.move
          from (select 1) one left join checkout.items i on i.sku = j.sku and i.shard = j.shard));
    return true;
end $$;

-- A cancel is in time if the order still waits, or its buyer is at the bank.
create or replace function checkout.run_cancel(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    o checkout.orders;
    p checkout.payments;
begin
    select * into o from checkout.orders where order_id = c.order_id;
    if not found and checkout.cancel_aside(c) then
        return next checkout.output_of(checkout.transition_news('cancelled', null, 1));
        return next checkout.command_end(c, 'done', 'cancelled before it was decided');
    elsif o.order_id is null or c.user_id <> o.user_id then
        return next checkout.command_end(c, 'refused', 'there is no such order');
    elsif o.status = 'cancelled' then
        return next checkout.command_end(c, 'done', 'it was cancelled before');
    elsif o.status = 'reserved' then
        update checkout.payments t set resolution = 'cancel', updated_at = now()
         where t.order_id = o.order_id and t.state || '' = 'open' and t.action is not null
           and t.resolution is null
        returning t.* into p;
        if not found then
            return next checkout.command_end(c, 'refused', 'too late: its payment is under way');
        else
            return next checkout.output_of(checkout.charge_task(p, o));
            return next checkout.command_end(c, 'done', 'cancelled at the gateway first, unless its buyer has paid by then');
        end if;
    elsif o.status <> 'waiting' then
        return next checkout.command_end(c, 'refused', 'too late: it is ' || o.status);
    else
        perform checkout.leave_waitlist(o.sku, array[o.ticket], 'cancelled', null);
        return next checkout.output_of(checkout.transition_news('cancelled', null, 1));
        return next checkout.command_end(c, 'done', 'cancelled while it waited');
    end if;
end $$;

-- More units, or fewer: down to those that are held or sold.
create or replace function checkout.run_restock(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    units bigint := (c.argument ->> 'units')::bigint;
    i checkout.items;
begin
    select * into i from checkout.items where sku = c.sku and shard = c.shard;
    if not found then
        return next checkout.command_end(c, 'refused', 'there is no such item');
    elsif units is null then
        return next checkout.command_end(c, 'refused', 'the number of units is missing');
    elsif i.stock + units < i.held + i.sold then
        return next checkout.command_end(c, 'refused', format(
            'only %s of its %s units can go: %s are held for payments, %s are sold',
            i.stock - i.held - i.sold, i.stock, i.held, i.sold));
    elsif i.stock + units > 2147483647 then
        return next checkout.command_end(c, 'refused', 'a stock of more than 2147483647 units');
    else
        update checkout.items set stock = stock + units where sku = c.sku;
        return next checkout.command_end(c, 'done', format(
            'stock %s, was %s (%s held, %s sold, %s waiting)', i.stock + units, i.stock, i.held, i.sold,
            i.waiting));
    end if;
end $$;

-- Stops an item (or without sku the shard), and its clock.
create or replace function checkout.run_pause(p_shards integer, c checkout.commands) returns setof checkout.output
language plpgsql as $$
begin
    if c.sku is null then
        update checkout.shards set paused = true, stopped_at = coalesce(stopped_at, now())
         where shards = p_shards and shard = c.shard and not paused;
    else
        update checkout.items i
           set paused = true, stopped_at = coalesce(i.stopped_at, checkout.shard_clock(s))
          from checkout.shards s
         where i.sku = c.sku and i.shard = c.shard and s.shards = p_shards and s.shard = c.shard
           and not i.paused;
    end if;
    if found then
        return next checkout.command_end(c, 'done', 'paused: orders join the waitlist');
    elsif c.sku is null or exists (select 1 from checkout.items where sku = c.sku and shard = c.shard) then
        return next checkout.command_end(c, 'done', 'it was paused before');
    else
        return next checkout.command_end(c, 'refused', 'there is no such item');
    end if;
end $$;

-- Lets it go on. The waitlists of a shard are settled one after the other, each when its turn comes.
create or replace function checkout.run_resume(p_shards integer, c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    changed boolean;
begin
    if c.sku is null then
        update checkout.shards set paused = false
         where shards = p_shards and shard = c.shard and paused;
        changed := found;
        perform checkout.run_clock(p_shards, c.shard);
        return query
        select checkout.settle_waitlist_task(w.sku), null::checkout.news   -- the sweep finds the others
          from checkout.page_of_waitlists(array[c.shard], c.shard, '', 256) w where changed and w.shard = c.shard;
    else
        update checkout.items i
           set paused = false, stopped_at = null,
               stopped_ms = i.stopped_ms
                   + coalesce(extract(epoch from checkout.shard_clock(s) - i.stopped_at) * 1000, 0)
          from checkout.shards s
         where i.sku = c.sku and i.shard = c.shard and s.shards = p_shards and s.shard = c.shard
           and i.paused;
        changed := found;
    end if;
    if changed then
        return next checkout.command_end(c, 'done', 'resumed: the waitlist moves');
    elsif c.sku is null or exists (select 1 from checkout.items where sku = c.sku and shard = c.shard) then
        return next checkout.command_end(c, 'done', 'it was not paused');
    else
        return next checkout.command_end(c, 'refused', 'there is no such item');
    end if;
end $$;

-- Executes one command and records its result. Whatever is wrong with it is its own result, and undone;
-- only what may pass (a deadlock, a shutdown) ends the transaction.
create or replace function checkout.run_command(p_shards integer, c checkout.commands)
returns setof checkout.output
language plpgsql as $$
declare
    outputs checkout.output[];
    ended checkout.news;
    stray text;
begin
    begin
        perform checkout.bring_home(c.order_id, c.shard);
        stray := checkout.stray_command(c);
        outputs := case case when stray is null then c.kind else 'stray' end
            when 'stray' then array[checkout.command_end(c, 'refused', stray)]
            when 'cancel' then array(select o from checkout.run_cancel(c) o)
            when 'restock' then array(select o from checkout.run_restock(c) o)
            when 'set' then array(select o from checkout.run_set(c) o)
            when 'pause' then array(select o from checkout.run_pause(p_shards, c) o)
            when 'resume' then array(select o from checkout.run_resume(p_shards, c) o)
            when 'resolve' then array(select o from checkout.run_resolve(c) o)
            when 'webhook' then array(select o from checkout.run_webhook(c) o)
            when 'refund' then array(select o from checkout.run_refund(c) o)
            when 'expire' then array(select o from checkout.run_expire(c) o)
            when 'readmit' then array(select o from checkout.run_readmit(c) o)
        end;
    exception when others then
        if sqlstate in ('40P01', '55P03') then
            return;         -- something that it needs is locked: it stays pending, and the sweep finds it again
        elsif left(sqlstate, 2) in ('40', '53', '55', '57', '58') then
            raise;
        end if;
        outputs := array[checkout.command_end(c, 'refused', sqlerrm)];
    end;
    select (o.news).* into strict ended from unnest(outputs) o where (o.news).kind = 'command';
    update checkout.commands
       set state = ended.status, result = ended.reason, finished_at = now()
     where command_id = c.command_id;
    return query select o.* from unnest(outputs) o;
end $$;

-- Executes up to p_limit pending commands of a shard in the order of their ids. Passes over the first p_passed, one of
-- which hangs, and over others of the same items. Returns what follows; the task run_commands at the end says that
-- there may be more of them.
create or replace function checkout.run_commands(p_shards integer, p_shard integer, p_epoch bigint, p_limit integer,
                                                 p_passed integer default 0)
returns setof checkout.output
language plpgsql as $$
declare
    todo checkout.commands[];
    command checkout.commands;
    skus text[];
    skipped text[] := '{}';    -- items whose row another session has locked: their commands stay pending
    locked text[];
    passed bigint[] := '{}';
    touched text;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    if p_passed > 0 then
        select array_agg(t.command_id), coalesce(array_agg(distinct t.sku) filter (where t.sku is not null), '{}')
          into passed, skipped
          from (select c.command_id,
                       coalesce(c.sku, (select o.sku from checkout.orders o where o.order_id = c.order_id)) as sku
                  from checkout.commands c where c.shard = p_shard and c.state = 'pending'
                 order by c.command_id limit p_passed) t;
    end if;
    loop                    -- until each that is to be executed has its item's row, or none
        select coalesce(array_agg(t.c order by t.id), '{}'), coalesce(array_agg(distinct t.sku) filter (where t.sku is not null), '{}')
          into todo, skus
          from (select c, c.command_id as id, n.sku
                  from checkout.commands c
                  cross join lateral (select coalesce(c.sku, (select o.sku from checkout.orders o where o.order_id = c.order_id)) as sku) n
                 where c.shard = p_shard and c.state = 'pending' and (n.sku = any (skipped)) is not true
                   and (c.command_id = any (passed)) is not true
                 order by c.command_id limit p_limit) t;
        locked := checkout.lock_items(p_shard, skus);
        exit when cardinality(locked) = 0;
        skipped := skipped || locked;
    end loop;

    foreach command in array todo
    loop
        return query select * from checkout.run_command(p_shards, command);
    end loop;

    for touched in
        select sku from checkout.items where sku = any (skus) and shard = p_shard and waiting > 0
         order by sku
    loop
        return query select * from checkout.settle_waiting(p_shards, touched, 64);
    end loop;
    perform checkout.forget_webhooks(p_shard, 256);
    if cardinality(todo) = p_limit then
        return next checkout.output_of(checkout.run_commands_task());
    end if;
end $$;
