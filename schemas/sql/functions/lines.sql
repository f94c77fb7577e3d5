-- What the notifiers show of waitlists while they move: tickets and counts, no ids. A buyer's place is how many
-- tickets up to the own one are still on the waitlist.

-- The lines of these items: the first ticket (where no order waits, the one that comes next), the ticket that the next
-- order draws, how many wait, and how far the clock is behind the database's (null: it stands still).
create or replace function checkout.lines(p_skus text[])
returns table (sku text, shard integer, head bigint, next_ticket bigint, waiting integer, behind_ms bigint)
language plpgsql stable as $$
begin
    return query
    select i.sku, i.shard, coalesce(h.ticket, i.next_ticket), i.next_ticket, i.waiting, checkout.clock_behind_ms(i.sku)
      from unnest(p_skus) u(sku)
      cross join lateral (select * from checkout.items x where x.sku = u.sku limit 1) i
      left join lateral (select l.ticket from checkout.waitlist l
                          where l.sku = i.sku and l.ticket >= i.waitlist_head order by l.ticket limit 1) h on true;
end $$;

-- The line of an item with its tickets, as the first p_limit groups without a gap: "5+896 903+1" are 896 tickets from 5
-- on, and the ticket 903.
create or replace function checkout.line_tickets(p_sku text, p_limit integer)
returns table (head bigint, next_ticket bigint, waiting integer, behind_ms bigint, tickets text)
language plpgsql stable as $$
begin
    return query
    select l.head, l.next_ticket, l.waiting, l.behind_ms,
           (select string_agg(g.first || '+' || g.count, ' ' order by g.first)
              from (select min(t.ticket) as first, count(*) as count
                      from (select w.ticket, w.ticket - row_number() over (order by w.ticket) as missing
                              from checkout.waitlist w where w.sku = p_sku and w.ticket >= l.head) t
                     group by t.missing order by t.missing limit p_limit) g)
      from checkout.lines(array[p_sku]) l;
end $$;

-- The tickets of these orders, as far as they wait (n: which of them), and until when each may wait by the clock of its
-- item, in ms since 1970.
create or replace function checkout.tickets_of(p_orders uuid[])
returns table (n bigint, ticket bigint, until_ms bigint)
language plpgsql stable as $$
begin
    return query
    select u.n, w.ticket, (extract(epoch from w.expires_at) * 1000)::bigint
      from unnest(p_orders) with ordinality u(order_id, n)
      cross join lateral (select x.order_id, x.sku, x.ticket, x.status from checkout.orders x where x.order_id = u.order_id limit 1) o
      cross join lateral (select * from checkout.waitlist x where x.sku = o.sku and x.ticket = o.ticket limit 1) w
     where o.status = 'waiting' and w.order_id = o.order_id;
end $$;
