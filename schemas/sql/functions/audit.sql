-- What the auditor asks (checkoutctl audit). Functions that read only; each returns what breaks a promise,
-- nothing if all is well, and walks whole tables once or twice.
--
-- The caller asks all of audit_items … audit_shards in one repeatable-read transaction. One snapshot is
-- enough to be without false alarms during a sale: every transition changes the order, its event, the sums
-- of its item, its place on the waitlist and its payment in one transaction, so a snapshot has all of it or nothing.
-- A relay's watermark grows after its events have been committed, so who sees the watermark sees them.
-- None of these is planned ahead (language sql, without settings): the caller's settings count.

-- Rows that the checks walk over.
create or replace function checkout.audit_rows()
returns table (items bigint, orders bigint, events bigint, line bigint, payments bigint, shards bigint)
language sql stable as $$
    select (select count(*) from checkout.items), (select count(*) from checkout.orders),
           (select count(*) from checkout.order_events), (select count(*) from checkout.waitlist),
           (select count(*) from checkout.payments), (select count(*) from checkout.relays)
$$;

-- The sums that items carry, against the orders and the waitlist. A refunded order has given its units back, or
-- they stay sold: the operator chose.
create or replace function checkout.audit_items() returns setof checkout.finding
language sql stable as $$
    with counted as (
        select o.sku, coalesce(sum(o.quantity) filter (where o.status = 'reserved'), 0) as held,
               coalesce(sum(o.quantity) filter (where o.status = 'confirmed'), 0) as sold,
               coalesce(sum(o.quantity) filter (where o.status = 'refunded' and not exists (
                   select 1 from checkout.refunds r
                    where r.order_id = o.order_id and r.reason = 'requested' and r.restock)), 0) as refunded,
               count(*) filter (where o.status = 'waiting') as waiting
          from checkout.orders o
         where o.status in ('waiting', 'reserved', 'confirmed', 'refunded') group by o.sku),
    lined as (
        select l.sku, count(*) as waiting, min(l.ticket) as first, max(l.ticket) as last
          from checkout.waitlist l group by l.sku),
    compared as (
        select coalesce(i.sku, c.sku, l.sku) as sku, i.shard, i.sku is null as unknown, i.stock, i.held, i.sold,
               i.waiting, i.waitlist_head, i.next_ticket, l.first, l.last, coalesce(l.waiting, 0) as lined,
               coalesce(c.held, 0) as o_held, coalesce(c.sold, 0) as o_sold,
               coalesce(c.refunded, 0) as o_refunded, coalesce(c.waiting, 0) as o_waiting,
               coalesce((select p.sold from checkout.purged_items p where p.sku = i.sku), 0) as purged
          from checkout.items i
          full join counted c on c.sku = i.sku
          full join lined l on l.sku = coalesce(i.sku, c.sku))
    select v.kind, c.sku, null, c.shard, null, v.found
      from compared c
      cross join lateral (values
          (c.unknown, 'item-missing', 'open or sold orders of an item that does not exist'),
          (c.held + c.sold > c.stock, 'oversold',
           format('%s held and %s sold of a stock of %s', c.held, c.sold, c.stock)),
          (c.held <> c.o_held, 'held-differs',
           format('the item says %s held, its reserved orders have %s', c.held, c.o_held)),
          (c.sold <> c.o_sold + c.o_refunded + c.purged, 'sold-differs',
           format('the item says %s sold, its confirmed orders have %s', c.sold, c.o_sold)
           || case when c.o_refunded > 0 then format(' and refunded ones that were not restocked %s', c.o_refunded) else '' end
           || case when c.purged > 0 then format(' and purged ones %s', c.purged) else '' end),
          (c.waiting <> c.o_waiting or c.waiting <> c.lined, 'waiting-differs',
           format('the item says %s waiting, %s orders wait, %s stand on its waitlist', c.waiting, c.o_waiting,
                  c.lined)),
          (c.first < c.waitlist_head or c.last >= c.next_ticket, 'line-marks-differ',
           format('tickets %s to %s stand on a waitlist from %s to before %s', c.first, c.last, c.waitlist_head,
                  c.next_ticket))) as v(broken, kind, found)
     where v.broken
$$;

-- The units that customers have of items, against their orders. (Of the difference, so that it is one sort.)
create or replace function checkout.audit_customers() returns setof checkout.finding
language sql stable as $$
    select 'units-differ', u.sku, null, i.shard, null,
           format('customer %s is said to have %s units beside those of purged orders, the open and confirmed orders have %s',
                  u.user_id, u.said, u.units)
      from (select t.sku, t.user_id, sum(t.said) as said, sum(t.units) as units
              from (select c.sku, c.user_id, c.units - c.purged as said, 0 as units from checkout.customer_units c
                    union all
                    select o.sku, o.user_id, 0, o.quantity from checkout.orders o
                     where o.status in ('waiting', 'reserved', 'confirmed')) t
             group by t.sku, t.user_id having sum(t.said) <> sum(t.units)) u
      left join checkout.items i on i.sku = u.sku
$$;

-- A state as a digit, and a history as the digits of its events, the first one lowest: it is made by one
-- aggregate, in no order, and says all.
create or replace function checkout.audit_digit(p_status text) returns bigint
language sql immutable parallel safe
return case p_status when 'rejected' then 1 when 'waiting' then 2 when 'reserved' then 3 when 'confirmed' then 4
                     when 'cancelled' then 5 when 'refunded' then 6 else 7 end;

-- The histories that there may be, by the state in which they end.
create or replace function checkout.audit_histories() returns table (status text, path bigint)
language sql immutable as $$
    select h.states[cardinality(h.states)],
           (select bit_or(checkout.audit_digit(u.s) << (4 * (u.n - 1))::integer)
              from unnest(h.states) with ordinality as u(s, n))
      from (select string_to_array(replace(t.way, 'reserved', repeat('reserved ', r) || 'reserved'), ' ') as states
              from (values ('rejected'), ('cancelled'), ('waiting'), ('reserved'), ('waiting rejected'),
                           ('waiting cancelled'), ('waiting reserved'), ('reserved rejected'),
                           ('reserved confirmed'), ('waiting reserved rejected'), ('waiting reserved confirmed'),
                           ('reserved confirmed refunded'), ('waiting reserved confirmed refunded'),
                           ('reserved cancelled'), ('waiting reserved cancelled')) t(way)
              cross join generate_series(0, 2) r    -- asked to act at the bank: reserved is published again
             where t.way like '%reserved%' and r > 0
                or r = 0 and t.way not like '%reserved cancelled') h    -- which only a buyer at the bank may
$$;

-- Each order's history: numbered without gaps and without repeats, one of those that there may be, and its end is what the order
-- says.
create or replace function checkout.audit_events() returns setof checkout.finding
language sql stable as $$
    with history as (
        select e.order_id, min(e.shard) as shard, count(*) as events, max(e.sequence) as newest,
               bit_or(checkout.audit_digit(e.status) << 4 * (least(e.sequence, 16) - 1)) as path,
               max(e.reason) as reason
          from checkout.order_events e group by e.order_id),
    known as materialized (select h.status, h.path from checkout.audit_histories() h),
    suspicious as materialized (
        select coalesce(o.order_id, t.order_id) as order_id, coalesce(o.shard, t.shard) as shard, o.sku,
               o.status, o.reason, o.sequence, t.events, t.newest, t.path
          from checkout.orders o
          full join history t on t.order_id = o.order_id
          left join known h on h.status = o.status and h.path = t.path
         where h.path is null or o.sequence <> t.newest or t.events <> t.newest or o.reason is distinct from t.reason),
    judged as (
        select s.*, l.status as e_status, l.reason as e_reason,
               case when s.events is null then 'events-missing'
                    when s.status is null then 'order-missing'
                    when s.events > s.newest then 'event-twice'
                    when s.events < s.newest then 'events-gap'
                    when not exists (select 1 from known h where h.path = s.path) then
                        case when exists (
                                 select 1 from checkout.order_events e
                                  where uuid_hash(e.order_id) = uuid_hash(s.order_id) and e.order_id = s.order_id
                                    and e.sequence < s.newest
                                    and e.status in ('rejected', 'cancelled', 'refunded', 'confirmed')
                                    and not exists (select 1 from checkout.order_events n
                                                     where uuid_hash(n.order_id) = uuid_hash(e.order_id)
                                                       and n.order_id = e.order_id and n.sequence = e.sequence + 1
                                                       and e.status = 'confirmed' and n.status = 'refunded'))
                             then 'end-left' else 'step-unknown' end
                    else 'status-differs' end as kind,
               (select string_agg(e.sequence || ' ' || e.status, ', ' order by e.sequence)
                  from (select e.sequence, e.status from checkout.order_events e
                         where uuid_hash(e.order_id) = uuid_hash(s.order_id) and e.order_id = s.order_id
                         order by e.sequence limit 16) e) as history
          from suspicious s
          left join lateral (select e.status, e.reason from checkout.order_events e
                              where uuid_hash(e.order_id) = uuid_hash(s.order_id) and e.order_id = s.order_id
                                and e.sequence = s.newest limit 1) l on true)
    select j.kind, j.sku, j.order_id::text, j.shard, null,
           case j.kind
               when 'events-missing' then format('the order is %s and has no event', j.status)
               when 'order-missing' then format('there is no order, but events: %s', j.history)
               when 'status-differs' then
                   format('the order is %s (%s), its last event is %s (%s)',
                          j.status || coalesce(': ' || j.reason, ''), j.sequence,
                          j.e_status || coalesce(': ' || j.e_reason, ''), j.newest)
               else format('its events: %s', j.history) end
      from judged j
$$;

-- The waitlist holds the waiting orders and nothing else, in the order in which they came; no order stays
-- on it for longer than p_older_ms after its time is up.
create or replace function checkout.audit_line(p_older_ms bigint) returns setof checkout.finding
language sql stable as $$
    with placed as (
        select coalesce(o.order_id, l.order_id) as order_id, coalesce(o.sku, l.sku) as sku,
               coalesce(o.shard, l.shard) as shard, o.ticket as o_ticket, l.ticket,
               o.order_id is null as no_order, l.order_id is null as no_place,
               (o.sku, o.ticket, o.quantity, o.shard) is distinct from (l.sku, l.ticket, l.quantity, l.shard)
                   as other
          from (select * from checkout.orders where status = 'waiting') o
          full join checkout.waitlist l on l.order_id = o.order_id)
    select case when p.no_place then 'place-missing' when p.no_order then 'place-left-over'
                else 'place-differs' end, p.sku, p.order_id::text, p.shard, null,
           case when p.no_place then format('it waits with ticket %s, which is not on the waitlist', p.o_ticket)
                when p.no_order then format('ticket %s stands on the waitlist, the order does not wait (%s)',
                    p.ticket, coalesce((select o.status from checkout.orders o where o.order_id = p.order_id),
                                       'there is none'))
                else format('ticket %s on the waitlist differs from the order in item, ticket, quantity or shard',
                            p.ticket) end
      from placed p where p.no_order or p.no_place or p.other
    union all
    select 'wait-too-long', l.sku, l.order_id::text, l.shard, null,
           format('its time on the waitlist was up at %s by the clock of the item', l.expires_at)
      from checkout.waitlist l
      join checkout.items i on i.sku = l.sku
      join checkout.service v on true
      join checkout.shards s on s.shards = v.shards and s.shard = i.shard
     where l.expires_at < checkout.item_clock(i, s) - p_older_ms * interval '1 ms'
$$;

-- First come, first served, item by item, by the ids of events, which are in commit order: no order got a unit
-- at once while another was on the waitlist, and those on it got theirs in the order in which they came.
-- (Events of one transaction have one time; among them the order does not matter. One that was adopted had got its unit
-- before, in a database that was lost.)
create or replace function checkout.audit_turns() returns setof checkout.finding
language sql stable as $$
    with came as (
        select o.sku, o.shard, e.order_id, e.event_id, e.status
          from checkout.order_events e join checkout.orders o on o.order_id = e.order_id
         where e.sequence = 1 and e.status in ('waiting', 'reserved')),
    waited as (
        select c.sku, c.shard, c.order_id, c.event_id as joined, e.event_id as left_line, e.status,
               e.created_at
          from came c
          left join checkout.order_events e on e.order_id = c.order_id and e.sequence = 2
         where c.status = 'waiting'),
    steps as (
        select w.sku, w.shard, w.order_id, w.joined as event_id, 1 as change from waited w
        union all
        select w.sku, w.shard, w.order_id, w.left_line, -1 from waited w where w.left_line is not null
        union all
        select c.sku, c.shard, c.order_id, c.event_id, 0 from came c where c.status = 'reserved'),
    lines as (
        select s.*, sum(s.change) over (partition by s.sku order by s.event_id) as length from steps s),
    promoted as (
        select w.*, max(w.left_line) over before as latest, max(w.created_at) over before as latest_at
          from waited w where w.status = 'reserved'
        window before as (partition by w.sku order by w.joined
                          rows between unbounded preceding and 1 preceding))
    select 'line-passed', l.sku, l.order_id::text, l.shard, null,
           format('it got its units at once while %s were waiting (event %s)', l.length, l.event_id)
      from lines l where l.change = 0 and l.length > 0 and not checkout.was_adopted(l.order_id)
    union all
    select 'overtaken', p.sku, p.order_id::text, p.shard, null,
           format('it got its units (event %s) before one that came earlier (event %s)', p.left_line, p.latest)
      from promoted p where p.left_line < p.latest and p.created_at < p.latest_at and not checkout.was_adopted(p.order_id)
$$;

-- Intents and captures: one open intent for each reserved order, one capture for each confirmed (or refunded)
-- one, of what the order says, and no others; no intent without an end for longer than p_older_ms.
create or replace function checkout.audit_payments(p_older_ms bigint) returns setof checkout.finding
language sql stable as $$
    with paid as (
        select p.order_id, min(p.shard) as shard, count(*) filter (where p.state = 'open') as open,
               count(*) filter (where p.state = 'captured') as captured, min(p.amount) as least,
               max(p.amount) as most, min(p.currency) as currency, max(p.currency) as other_currency,
               max(p.intent_id) filter (where p.state = 'captured') as intent_id
          from checkout.payments p where p.state in ('open', 'captured') group by p.order_id),
    compared as (
        select coalesce(o.order_id, p.order_id) as order_id, coalesce(o.shard, p.shard) as shard, o.sku,
               coalesce(o.status, (select n.status from checkout.orders n where n.order_id = p.order_id),
                        'missing') as status,
               o.amount, o.currency, coalesce(p.open, 0) as open, coalesce(p.captured, 0) as captured,
               p.least, p.most, p.currency as p_currency, p.other_currency, p.intent_id
          from (select * from checkout.orders where status in ('reserved', 'confirmed', 'refunded')) o
          full join paid p on p.order_id = o.order_id),
    suspicious as materialized (    -- so that words are found for few
        select c.* from compared c
         where (c.open, c.captured) <> (case c.status when 'reserved' then 1 else 0 end,
                                        case when c.status in ('confirmed', 'refunded') then 1 else 0 end)
            or c.least <> c.amount or c.most <> c.amount or c.p_currency <> c.currency
            or c.other_currency <> c.currency)
    select v.kind, c.sku, c.order_id::text, c.shard, c.intent_id, v.found
      from suspicious c
      cross join lateral (values
          (c.status = 'reserved' and c.open = 0, 'intent-missing', 'it is reserved and has no open payment'),
          (c.open > 1, 'intent-twice', format('it has %s open payments', c.open)),
          (c.open > 0 and c.status <> 'reserved', 'intent-left-over',
           format('a payment is open, and the order is %s', c.status)),
          (c.captured = 0 and c.status in ('confirmed', 'refunded'), 'capture-missing',
           format('it is %s and no payment is captured', c.status)),
          (c.captured > 1, 'capture-twice', format('%s payments are captured', c.captured)),
          (c.captured > 0 and c.status not in ('confirmed', 'refunded'), 'capture-left-over',
           format('a payment is captured, and the order is %s', c.status)),
          (c.least <> c.amount or c.most <> c.amount or c.p_currency <> c.currency
           or c.other_currency <> c.currency, 'amount-differs',
           format('the order is over %s, its payment over %s', checkout.money_text(c.amount, c.currency),
                  checkout.money_text(case when c.least <> c.amount then c.least else c.most end,
                                      case when c.p_currency <> c.currency then c.p_currency else c.other_currency end))))
          as v(broken, kind, found)
     where v.broken
    union all
    select 'intent-too-old', o.sku, p.order_id::text, p.shard, p.intent_id,
           format('attempt %s is open since %s%s', p.attempt, p.created_at,
                  coalesce('; the gateway''s last answer: ' || p.code, ''))
      from checkout.payments p left join checkout.orders o on o.order_id = p.order_id
     where p.state = 'open'
       and greatest(p.created_at, p.action_until) < now() - p_older_ms * interval '1 ms'  -- its buyer may act so long
$$;

-- Refunds: a refunded order's money was refunded because somebody asked for it, and no confirmed order's
-- was; what was taken for nothing is refunded; no refund is without an end for longer than p_older_ms.
create or replace function checkout.audit_refunds(p_older_ms bigint) returns setof checkout.finding
language sql stable as $$
    select 'refund-missing', o.sku, o.order_id::text, o.shard, null, 'it is refunded, and no money went back'
      from checkout.orders o
     where o.status = 'refunded'
       and not exists (select 1 from checkout.refunds r where r.order_id = o.order_id
                          and r.reason = 'requested')
       and not exists (select 1 from checkout.returns r where r.order_id = o.order_id and r.kind = 'refund')
    union all
    select 'refund-failed', f.sku, f.order_id::text, f.shard, f.intent_id,
           format('its money did not go back: the refund failed%s', coalesce(': ' || f.code, ''))
      from checkout.failed_refunds() f where f.owed
    union all
    select v.kind, o.sku, r.order_id::text, r.shard, r.intent_id, v.found
      from checkout.refunds r
      left join checkout.orders o on o.order_id = r.order_id
      left join checkout.payments p on p.order_id = r.order_id and p.intent_id = r.intent_id
                                   and p.state = 'captured'
      cross join lateral (values
          (r.state = 'succeeded' and p.order_id is not null and o.status is distinct from 'refunded',
           'refund-left-over', format('its money went back, and the order is %s',
                                      coalesce(o.status, 'missing'))),
          (r.reason = 'requested' and p.order_id is null, 'refund-undue',
           'the refunded payment is not the order''s captured one'),
          (r.outside and checkout.amount_returned(r.intent_id) >= greatest(r.amount, p.amount), 'refunded-twice',
           format('%s went back outside of the gateway, as an operator said, and at the gateway',
                  checkout.money_text(r.amount, r.currency))),
          (r.state = 'open' and r.created_at < now() - p_older_ms * interval '1 ms', 'refund-too-old',
           format('its refund is open since %s%s', r.created_at,
                  coalesce('; the gateway''s last answer: ' || r.code, ''))))
          as v(broken, kind, found)
     where v.broken
$$;

-- Shards: no two events have one id, their epochs never fall, and nothing is marked as relayed that was not written.
create or replace function checkout.audit_shards() returns setof checkout.finding
language sql stable as $$
    with reigns as (        -- of an epoch over a shard: from its first event to its last
        select e.shard, e.epoch, min(e.event_id) as first, max(e.event_id) as last
          from checkout.order_events e where e.epoch is not null group by e.shard, e.epoch),
    compared as (
        select r.*, max(r.last) over earlier as last_before
          from reigns r
        window earlier as (partition by r.shard order by r.epoch
                           rows between unbounded preceding and 1 preceding))
    select 'event-twice', null, null, t.shard, null, format('%s events have the id %s', t.events, t.event_id)
      from (select e.shard, e.event_id, count(*) as events from checkout.order_events e
             group by e.shard, e.event_id having count(*) > 1) t
    union all
    select 'epoch-falls', null,
           (select e.order_id::text from checkout.order_events e
             where e.shard = c.shard and checkout.span_of(e.event_id) = checkout.span_of(c.last_before)
               and e.event_id = c.last_before limit 1), c.shard, null,
           format('event %s was written under an epoch before %s, after event %s of epoch %s', c.last_before,
                  c.epoch, c.first, c.epoch)
      from compared c where c.first < c.last_before
    union all
    select 'relay-ahead', null, null, r.shard, null,
           format('the watermark is %s, the newest event %s', r.relayed_to, coalesce(n.event_id, 0))
      from checkout.relays r
      left join lateral (select e.event_id from checkout.order_events e where e.shard = r.shard
                          order by checkout.span_of(e.event_id) desc, e.event_id desc limit 1) n on true
      left join checkout.horizons h on h.shard = r.shard
     where r.relayed_to > greatest(n.event_id, h.event_id, 0)
$$;

-- Captures of the gateway's list (arrays of equal length) against the tables, which are newer than the list:
-- the intent of each was durable before the call. What was refunded is left out. `unsettled` is no violation:
-- its order is reserved and its payment open, so its settlement is on its way (or audit_payments finds it too
-- old); or its refund is under way (audit_refunds), or its owner will soon look for it. Of a purged order only the number
-- of its captures is known, refunded ones included.
create or replace function checkout.audit_captures(p_intents text[], p_orders text[], p_amounts bigint[],
                                        p_currencies text[])
returns table (kind text, sku text, order_id text, shard integer, intent_id text, found text,
               amount bigint, currency text)
language sql stable as $$
    with listed as (
        select g.*, count(*) over (partition by g.order_id) as times,
               case when g.order_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then g.order_id::uuid end
                   as id
          from unnest(p_intents, p_orders, p_amounts, p_currencies)
               as g(intent_id, order_id, amount, currency)
         where not exists (select 1 from checkout.refunds r
                            where r.intent_id = g.intent_id and r.state = 'succeeded')),
    kept as (
        select l.* from listed l
         where l.times > coalesce((select p.captures from checkout.purged_orders p where p.order_id = l.id), 0)),
    compared as (
        select g.*, o.sku, o.shard, o.status, o.amount as o_amount, o.currency as o_currency,
               p.open, p.captured, p.other,
               not p.captured and (p.looked_at or exists (
                   select 1 from checkout.refunds r where r.intent_id = g.intent_id and r.state = 'open'))
                   as returning
          from kept g
          left join checkout.orders o on o.order_id = g.id
          cross join lateral (
              select coalesce(bool_or(p.state = 'open'), false) as open,
                     coalesce(bool_or(p.state = 'captured'
                                      and (p.intent_id = g.intent_id
                                           or p.intent_id is null and g.times = 1)), false) as captured,
                     max(p.intent_id) filter (where p.state = 'captured' and p.intent_id <> g.intent_id)
                         as other,
                     coalesce(bool_or(p.look_at < now() + interval '10 min'), false) as looked_at
                from checkout.payments p where p.order_id = g.id) p)
    select case when c.status is null and exists (select 1 from checkout.purged_orders p where p.order_id = c.id)
                    then case when c.times > 1 then 'charged-twice' else 'charged-unconfirmed' end
                when c.status is null then 'charged-for-nothing'
                when c.returning then 'unsettled'
                when not c.captured and (c.times > 1 or c.other is not null) then 'charged-twice'
                when c.amount <> c.o_amount or lower(c.currency) <> c.o_currency then 'charge-differs'
                when c.open and c.status = 'reserved' then 'unsettled'
                else 'charged-unconfirmed' end,
           c.sku, c.order_id, c.shard, c.intent_id,
           case when c.status is null then coalesce(
                    (select format('the gateway took money %s times, and the order was purged as %s with %s', c.times, p.status,
                                   p.captures)
                       from checkout.purged_orders p where p.order_id = c.id),
                    'the gateway took money, and there is no such order')
                when not c.captured and (c.times > 1 or c.other is not null) then
                    format('the gateway took money more than once%s', coalesce('; ours is ' || c.other, ''))
                when c.amount <> c.o_amount or lower(c.currency) <> c.o_currency then
                    format('the gateway took %s, the order is over %s', checkout.money_text(c.amount, c.currency),
                           checkout.money_text(c.o_amount, c.o_currency))
                else format('the gateway took money, and the order is %s', c.status) end,
           c.amount, c.currency
      from compared c
     where c.status is null or not c.captured or c.amount <> c.o_amount or lower(c.currency) <> c.o_currency
$$;

-- Jobs that are set aside: none of an order that is decided already, and each with the row of its item, by which
-- the owner of the shard tries it again.
create or replace function checkout.audit_aside() returns setof checkout.finding
language sql stable as $$
    select 'aside-decided', j.sku, j.order_id::text, j.shard, null,
           format('its job is set aside since %s, and the order is %s', checkout.utc_text(j.set_aside_at), o.status)
      from checkout.jobs_aside j
      join checkout.orders o on o.order_id = j.order_id
    union all
    select 'aside-unmarked', j.sku, j.order_id::text, j.shard, null,
           format('its job is set aside since %s, and no row of its item says so', checkout.utc_text(j.set_aside_at))
      from checkout.jobs_aside j
     where not exists (select 1 from checkout.items_aside a where a.shard = j.shard and a.sku = j.sku)
$$;

-- Orders that were honoured by their stamp although they were decided more than an hour after the closing of
-- their item (as it is set now): whoever publishes is trusted with the stamp, so somebody should look.
create or replace function checkout.audit_windows() returns setof checkout.finding
language sql stable as $$
    select 'honoured-late', o.sku, o.order_id::text, o.shard, null,
           format('accepted %s, decided %s, its sale closed %s', checkout.utc_text(o.accepted_at),
                  checkout.utc_text(o.created_at), checkout.utc_text(i.closes_at))
      from checkout.items i
      join checkout.orders o on o.sku = i.sku
     where i.closes_at is not null and o.created_at > i.closes_at + interval '1 hour'
       and o.status in ('waiting', 'reserved', 'confirmed', 'refunded')
$$;

-- Captured payments of between p_from and p_until: their settlements began before p_until, so a list that
-- began after it has them.
create or replace function checkout.audit_captured(p_from timestamptz, p_until timestamptz)
returns table (intent_id text, sku text, order_id text, shard integer)
language sql stable as $$
    select p.intent_id, o.sku, p.order_id::text, p.shard
      from checkout.payments p left join checkout.orders o on o.order_id = p.order_id
     where p.state = 'captured' and p.updated_at <= p_until and (p_from is null or p.created_at >= p_from)
$$;
