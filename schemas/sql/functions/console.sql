-- The shop's own view (checkout-console): items and orders as its API tells them, and what it asks for. A change is a
-- command to the owner of the item's shard, as that of an operator is; an item that is new has no owner to ask.

-- A time as the API tells it.
create or replace function checkout.api_time(p_at timestamptz) returns text
language sql stable
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

create or replace function checkout.item_json(i checkout.items) returns json
language sql stable
return json_strip_nulls(json_build_object(
    'sku', i.sku, 'title', i.title, 'price', i.price, 'currency', i.currency,
    'state', case when i.paused then 'paused'
                  when i.opens_at > now() then 'upcoming'
                  when i.closes_at <= now() then 'closed'
                  when i.stock = i.sold then 'sold_out'
                  else 'on_sale' end,
    'stock', i.stock, 'held', i.held, 'sold', i.sold, 'available', i.stock - i.held - i.sold, 'waiting', i.waiting,
    'limit_per_user', i.limit_per_user, 'gate', i.gate, 'opens_at', checkout.api_time(i.opens_at),
    'closes_at', checkout.api_time(i.closes_at), 'challenge', i.challenge, 'paused', i.paused, 'shard', i.shard,
    'created_at', checkout.api_time(i.created_at)));

-- Items by sku behind p_after, one more than p_limit where there are more.
create or replace function checkout.console_items(p_after text, p_limit integer)
returns table (sku text, item json)
language plpgsql stable as $$
begin
    return query
    select i.sku, checkout.item_json(i) from checkout.items i
     where i.sku > p_after order by i.sku limit p_limit + 1;
end $$;

create or replace function checkout.console_item(p_sku text) returns json
language plpgsql stable as $$
begin
    return (select checkout.item_json(i) from checkout.items i where i.sku = p_sku);
end $$;

-- An order without its buyer's address and payment method.
create or replace function checkout.console_order_json(
    p_order uuid, p_user text, p_sku text, p_quantity integer, p_status text, p_reason text, p_amount bigint,
    p_currency text, p_reference text, p_problem text, p_param text, p_accepted timestamptz, p_created timestamptz,
    p_updated timestamptz) returns jsonb
language sql stable
return jsonb_strip_nulls(jsonb_build_object(
    'id', p_order, 'customer', p_user, 'sku', p_sku, 'quantity', p_quantity, 'status', p_status, 'reason', p_reason,
    'amount', p_amount, 'currency', p_currency, 'reference', p_reference, 'payment_problem', p_problem,
    'param', p_param, 'accepted_at', checkout.api_time(p_accepted), 'created_at', checkout.api_time(p_created),
    'updated_at', checkout.api_time(p_updated)));

-- Orders that were decided, newest first, one more than p_limit where there are more. What is null asks for nothing. `at`
-- is the time that they are listed by: of the decision; with p_status alone, the time since when that is their state. The
-- next page is behind the last one's (at, order_id).
create or replace function checkout.console_orders(
    p_user text, p_sku text, p_reference text, p_status text, p_since timestamptz, p_until timestamptz,
    p_before timestamptz, p_before_id uuid, p_limit integer)
returns table (at timestamptz, order_id uuid, details jsonb)
language plpgsql stable as $$
declare
    alone constant boolean := p_user is null and p_sku is null and p_reference is null;
    -- where they are found without many others: the indexes of ends, the waitlists, open payments, or orders themselves
    place constant text := case
        when not alone or p_status is null then 'checkout.orders'
        when p_status = 'waiting' then 'checkout.waitlist'
        when p_status = 'reserved' then 'checkout.payments'
        else 'checkout.order_events' end;
    by_item constant boolean := p_sku is not null and p_user is null and p_reference is null;
    -- how the index has their times: of an item's orders in spans of four seconds (048_orders_of_items.sql), of all and of ends in
    -- seconds; null: as they are. The name is compared in a way of which PostgreSQL expects nothing: taken with the hash it would
    -- expect next to no orders, and read all
    span constant text := case
        when by_item then '(extract(epoch from %s at time zone ''UTC'') / 4)::integer'
        when alone and place in ('checkout.orders', 'checkout.order_events') then 'checkout.second_of(%s)' end;
begin
    return query execute
        'select f.created_at, o.order_id, checkout.console_order_json(o.order_id, o.user_id, o.sku, o.quantity, o.status,
                o.reason, o.amount, o.currency, o.reference, o.payment_problem, o.payment_param, o.accepted_at,
                o.created_at, o.updated_at)
           from ' || case when place = 'checkout.orders' then 'checkout.orders o cross join lateral (select '
                              || 'o.created_at, o.order_id, o.user_id, o.sku, o.reference, o.status) f '
                          else place || ' f cross join lateral (select t.order_id, t.user_id, t.sku, t.quantity, t.status,
                              t.reason, t.amount, t.currency, t.reference, t.payment_problem, t.payment_param,
                              t.accepted_at, t.created_at, t.updated_at
                              from checkout.orders t where t.order_id = f.order_id and t.status = $4 limit 1) o ' end
        || 'where true'
        || case when p_user is not null then ' and hashtext(f.user_id) = hashtext($1) and f.user_id = $1' else '' end
        || case when by_item then ' and hashtext(f.sku) = hashtext($2) and coalesce(f.sku = $2, false)'
                when p_sku is not null then ' and f.sku = $2' else '' end
        || case when span is not null and p_since is not null
                then format(' and ' || span || ' >= ' || span, 'f.created_at', '$5') else '' end
        || case when span is not null and coalesce(p_before, p_until) is not null
                then format(' and ' || span || ' <= ' || span, 'f.created_at',
                            case when p_before is null then '$6' else '$7' end) else '' end
        || case when p_reference is not null then ' and f.reference = $3' else '' end
        || case when p_status is null then ''
                when place in ('checkout.orders', 'checkout.order_events') then ' and f.status = $4'
                when place = 'checkout.payments' then ' and f.state = ''open'''
                else '' end
        || case when p_since is not null then ' and f.created_at >= $5' else '' end
        || case when p_until is not null then ' and f.created_at < $6' else '' end
        || case when p_before is not null then ' and f.created_at <= $7 and (f.created_at, f.order_id) < ($7, $8)' else '' end
        || ' order by ' || case when span is not null then format(span || ' desc, ', 'f.created_at') else '' end
        || 'f.created_at desc, f.order_id desc limit $9 + 1'
        using p_user, p_sku, p_reference, p_status, p_since, p_until, p_before, p_before_id, p_limit;
end $$;

-- A command, as the console tells it: what was asked for, by whom, and what came of it.
create or replace function checkout.command_json(p_command bigint) returns jsonb
language plpgsql stable as $$
begin
    return (
        select jsonb_strip_nulls(jsonb_build_object(
                   'id', c.command_id, 'kind', c.kind, 'sku', c.sku, 'order_id', c.order_id,
                   'shard', case when c.sku is null and c.order_id is null then c.shard end, 'state', c.state,
                   'result', c.result, 'requested_by', c.requested_by, 'created_at', checkout.api_time(c.created_at),
                   'finished_at', checkout.api_time(c.finished_at)))
          from checkout.commands c
         where c.command_id = p_command and c.kind not in ('webhook', 'expire', 'readmit'));
end $$;

-- All that the shop may know of an order: its history, payments, refunds, and who asked for what. Null: it was not decided.
create or replace function checkout.console_order(p_order uuid) returns jsonb
language plpgsql stable as $$
begin
    return (
        select checkout.console_order_json(o.order_id, o.user_id, o.sku, o.quantity, o.status, o.reason, o.amount,
                   o.currency, o.reference, o.payment_problem, o.payment_param, o.accepted_at, o.created_at,
                   o.updated_at)
               || jsonb_build_object(
                   'history', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                                          'status', e.status, 'reason', e.reason, 'place_in_line', e.place_in_line,
                                          'at', checkout.api_time(e.created_at))) order by e.sequence), '[]')
                                 from checkout.order_events e
                                where uuid_hash(e.order_id) = uuid_hash(o.order_id) and e.order_id = o.order_id),
                   'payments', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                                          'attempt', p.attempt, 'state', p.state, 'amount', p.amount,
                                          'currency', p.currency, 'intent_id', p.intent_id, 'code', p.code,
                                          'unclear', p.unclear_since is not null,
                                          'created_at', checkout.api_time(p.created_at))) order by p.attempt), '[]')
                                  from checkout.payments p where p.order_id = o.order_id),
                   'refunds', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                                          'attempt', r.attempt, 'state', r.state, 'amount', r.amount,
                                          'currency', r.currency, 'refund_id', r.refund_id, 'code', r.code,
                                          'reason', r.reason, 'restock', r.restock, 'note', r.note,
                                          'created_at', checkout.api_time(r.created_at),
                                          'updated_at', checkout.api_time(r.updated_at))) order by r.attempt), '[]')
                                 from checkout.refunds r where r.order_id = o.order_id),
                   'commands', (select coalesce(jsonb_agg(checkout.command_json(t.command_id) order by t.command_id), '[]')
                                  from (select c.command_id from checkout.commands c
                                         where c.order_id = p_order and c.state <> 'pending'
                                           and c.kind not in ('webhook', 'expire', 'readmit')
                                        union
                                        select q.command_id from checkout.commands q
                                         where q.order_id = p_order and q.kind = 'cancel' and q.state = 'pending'
                                         order by 1 desc limit 100) t))
          from checkout.orders o where o.order_id = p_order);
end $$;

-- What must be known before an item is made or changed: whether the request came before, the shards in service, and what
-- a price is checked against.
create or replace function checkout.console_before(p_by text, p_key text, p_sku text)
returns table (known boolean, shards integer, price bigint, currency text)
language plpgsql stable as $$
begin
    return query
    select exists (select 1 from checkout.requests r where r.requested_by = p_by and r.key = p_key), v.shards, i.price,
           i.currency
      from checkout.service v left join checkout.items i on i.sku = p_sku;
end $$;

-- Makes an item out of what was asked for, unless there is one with this sku.
create or replace function checkout.make_item(p_shards integer, p_shard integer, v jsonb) returns boolean
language plpgsql as $$
begin
    perform checkout.hold_shards(p_shards);
    insert into checkout.items (shard, sku, title, price, currency, stock, limit_per_user, gate, opens_at, closes_at, challenge)
    values (p_shard, v ->> 'sku', v ->> 'title', (v ->> 'price')::bigint, v ->> 'currency', (v ->> 'stock')::integer,
            (v ->> 'limit_per_user')::integer, coalesce(v ->> 'gate', 'soldout'), (v ->> 'opens_at')::timestamptz,
            (v ->> 'closes_at')::timestamptz, v ->> 'challenge')
        on conflict (sku) do nothing;
    return found;
end $$;

-- Takes a request to change something, once for each key of whoever asks: its command, or the item, is made in the same
-- transaction. Two at the same time wait for each other at the key. p_wish is what was asked for, p_argument what its
-- command is given.
--   taken   it was, now or before: its command, or (create) the item as it was asked for
--   reused  the key came before with something else
--   absent  there is no such item, shard, or decided order
--   exists  there is such an item
create or replace function checkout.console_request(
    p_by text, p_key text, p_kind text, p_sku text, p_shard integer, p_order uuid, p_wish jsonb, p_argument jsonb,
    p_note text, p_shards integer)
returns table (outcome text, command_id bigint, state text, result text, answer text)
language plpgsql as $$
#variable_conflict use_column
declare
    r checkout.requests;
    made bigint;
    asked_by constant text := 'console:' || p_by;
begin
    insert into checkout.requests (requested_by, key, kind, sku, shard, order_id, wish, note)
    values (p_by, p_key, p_kind, p_sku, case when p_kind <> 'create' then p_shard end, p_order, p_wish, p_note)
        on conflict (requested_by, key) do nothing
    returning * into r;
    if not found then
        select * into strict r from checkout.requests t where t.requested_by = p_by and t.key = p_key;
        if (r.kind, r.sku, r.order_id, r.wish, r.note, r.shard)
           is distinct from (p_kind, p_sku, p_order, p_wish, p_note, case when p_kind <> 'create' then p_shard end) then
            return query select 'reused', null::bigint, null::text, null::text, null::text;
            return;
        end if;
    elsif p_kind = 'create' then
        if not checkout.make_item(p_shards, p_shard, p_wish) then
            delete from checkout.requests t where t.request_id = r.request_id;
            return query select 'exists', null::bigint, null::text, null::text, null::text;
            return;
        end if;
    elsif p_kind = 'replay' then        -- no shard's owner executes it: see dead_letters.sql
        insert into checkout.commands (kind, requested_by) values ('replay', asked_by) returning commands.command_id into made;
        update checkout.requests t set command_id = made where t.request_id = r.request_id;
        r.command_id := made;
    else
        for tries in 1 .. 3 loop    -- a pending cancel of somebody else may end while we look at it
            if p_order is null then
                select c.command_id into made
                  from checkout.request_command(p_kind, p_sku, case when p_sku is null then p_shard end, p_argument, asked_by) c;
            else
                select c.command_id into made from checkout.request_order_command(p_kind, p_order, p_argument, asked_by) c;
            end if;
            exit when made is not null or p_kind <> 'cancel' or checkout.home_of(p_order) is null;
        end loop;
        if made is null then
            delete from checkout.requests t where t.request_id = r.request_id;
            return query select 'absent', null::bigint, null::text, null::text, null::text;
            return;
        end if;
        update checkout.requests t set command_id = made where t.request_id = r.request_id;
        r.command_id := made;
    end if;
    return query
    select 'taken', r.command_id, c.state, c.result,
           (case when r.command_id is null then r.wish else checkout.command_json(r.command_id) end)::text
      from (select 1) one left join checkout.commands c on c.command_id = r.command_id;
end $$;

-- Which of these commands have ended, and how.
create or replace function checkout.console_ended(p_commands bigint[])
returns table (command_id bigint, state text, result text, answer text)
language plpgsql stable as $$
begin
    return query
    select c.command_id, c.state, c.result, checkout.command_json(c.command_id)::text
      from checkout.commands c where c.command_id = any (p_commands) and c.state || '' <> 'pending';
end $$;
