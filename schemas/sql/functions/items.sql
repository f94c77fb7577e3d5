-- Items: what an operator changes of them. The owner of the shard executes it, so an item has one writer.

-- A time as people and files write it.
create or replace function checkout.utc_text(p_at timestamptz) returns text
language sql stable
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- Which of these items, by their number in the list, there are not: for the producer, before it takes their orders.
create or replace function checkout.unknown_items(p_skus text[]) returns table (n bigint)
language plpgsql stable as $$
begin
    return query
    select asked.n
      from unnest(p_skus) with ordinality asked(sku, n)
     where not exists (select from checkout.items i where i.sku = asked.sku);
end $$;

-- Changes fields of an item: {"set": {field: text or null, …}, "price", "currency"}. The caller has checked the
-- fields, and the price with the rules of its currency: against the price and currency that it names, so these must
-- still be the item's. An order keeps the price and currency that it has.
create or replace function checkout.run_set(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    v jsonb := c.argument -> 'set';
    was checkout.items;
    is_now checkout.items;
    changes text;
begin
    select * into was from checkout.items where sku = c.sku and shard = c.shard;
    if not found then
        return next checkout.command_end(c, 'refused', 'there is no such item');
        return;
    elsif (was.price, was.currency) is distinct from
          ((c.argument ->> 'price')::bigint, c.argument ->> 'currency') then
        return next checkout.command_end(c, 'refused', format('it was changed meanwhile: its price is %s now',
                                                              checkout.money_text(was.price, was.currency)));
        return;
    elsif v ->> 'currency' <> was.currency
          and (was.held > 0 or was.sold > 0 or was.waiting > 0 or was.next_ticket > 1) then
        return next checkout.command_end(c, 'refused', format(
            'its currency stays: it has orders (%s held, %s sold, %s waiting)', was.held, was.sold, was.waiting));
        return;
    end if;
    update checkout.items i
       set title = coalesce(v ->> 'title', i.title),
           price = coalesce((v ->> 'price')::bigint, i.price),
           currency = coalesce(v ->> 'currency', i.currency),
           gate = coalesce(v ->> 'gate', i.gate),
           limit_per_user = case when v ? 'limit_per_user' then (v ->> 'limit_per_user')::integer
                                 else i.limit_per_user end,
           opens_at = case when v ? 'opens_at' then (v ->> 'opens_at')::timestamptz else i.opens_at end,
           closes_at = case when v ? 'closes_at' then (v ->> 'closes_at')::timestamptz else i.closes_at end,
           challenge = case when v ? 'challenge' then v ->> 'challenge' else i.challenge end
     where i.sku = c.sku
    returning * into is_now;
    if is_now.opens_at >= is_now.closes_at then     -- undone by checkout.run_command
        raise exception 'closes_at is not after opens_at';
    end if;
    select string_agg(format('%s %s, was %s', f.name, coalesce(f.new, 'none'), coalesce(f.old, 'none')), '; '
                      order by f.n)
      into changes
      from (values (1, 'title', is_now.title, was.title),
                   (2, 'price', checkout.money_text(is_now.price, is_now.currency),
                    checkout.money_text(was.price, was.currency)),
                   (3, 'currency', is_now.currency, was.currency),
                   (4, 'limit_per_user', is_now.limit_per_user::text, was.limit_per_user::text),
                   (5, 'gate', is_now.gate, was.gate),
                   (6, 'opens_at', checkout.utc_text(is_now.opens_at), checkout.utc_text(was.opens_at)),
                   (7, 'closes_at', checkout.utc_text(is_now.closes_at), checkout.utc_text(was.closes_at)),
                   (8, 'challenge', is_now.challenge, was.challenge))
           as f(n, name, new, old)
     where f.new is distinct from f.old;
    return next checkout.command_end(c, 'done', coalesce(changes, 'nothing changed')
        || case when is_now.closes_at <= now() then '; it is closed now'
                when is_now.opens_at > now() then '; it is not open yet' else '' end);
end $$;
