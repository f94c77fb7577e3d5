-- The counter: one function for each transition, one place that changes a state. All writing functions
-- begin with the fence, and a caller sends each as one statement, which is one transaction.
--
-- Plans are generic and by index, whatever the tables hold at the moment: a plan made while they were
-- empty must still be good with a million rows.

-- What a transaction asks its caller to do, or tells it.
--   pay       charge this order: its intent is durable, for `detail` milliseconds if not just now; with a
--             `reason`: what an operator says became of it
--   more      the line of `sku` has more to settle: call checkout.settle_line
--   conflict  this order was known with another fingerprint; the first counts
--   refund    give this payment back: see checkout.refund_effect
--   late      this order, which is `detail`, had `amount` taken by the intent `reason`: it is given back
--   look      look at the gateway whether this payment took money after all
--   action    the buyer has been asked to act, and has `detail` milliseconds left
--   hint      something may have happened to the order's payment: look at it
--   tally     `amount` orders got the status `detail` (with `reason`)
create type checkout.effect as (
    kind text, order_id uuid, attempt integer, amount bigint, currency text, payment_method text,
    receipt_email text, sku text, detail text, reason text
);

-- Units that fit into `room` when taken in order, each whole or not at all.
create function checkout.take_if_fits(taken bigint, units bigint, room bigint) returns bigint
language sql immutable parallel safe
return case when coalesce(taken, 0) + units <= room then coalesce(taken, 0) + units else coalesce(taken, 0) end;

create aggregate checkout.taken(units bigint, room bigint) (
    sfunc = checkout.take_if_fits, stype = bigint
);

-- Locks the shard for this transaction, and refuses a writer whose epoch is over. SQLSTATE CK001. What the
-- transaction appends to order_events carries the epoch.
create function checkout.fence(p_shards integer, p_shard integer, p_epoch bigint) returns void
language plpgsql as $$
begin
    perform 1 from checkout.shards
      where shards = p_shards and shard = p_shard and epoch = p_epoch
      for no key update;
    if not found then
        raise exception 'shard % of %: epoch % is over', p_shard, p_shards, p_epoch using errcode = 'CK001';
    end if;
    perform set_config('checkout.epoch', p_epoch::text, true);
end $$;

-- Puts N shards into service. Another N than the one in service is refused (SQLSTATE CK002).
create function checkout.serve_shards(p_shards integer) returns void
language plpgsql as $$
declare
    serving integer;
begin
    insert into checkout.service (shards) values (p_shards) on conflict do nothing;
    select shards into serving from checkout.service for update;
    if serving <> p_shards then
        raise exception '% shards are in service, not %', serving, p_shards using errcode = 'CK002';
    end if;
    insert into checkout.shards (shards, shard)
      select p_shards, s from generate_series(0, p_shards - 1) s
      on conflict do nothing;
    insert into checkout.relays (shard)
      select s from generate_series(0, p_shards - 1) s
      on conflict do nothing;
end $$;

-- Remembers the fingerprint of the secret of order ids; another one later is refused (SQLSTATE CK003).
create function checkout.keep_secret(p_fingerprint text) returns void
language plpgsql as $$
declare
    kept text;
begin
    update checkout.service set secret_fingerprint = coalesce(secret_fingerprint, p_fingerprint)
      returning secret_fingerprint into kept;
    if kept is null then
        raise exception 'no shards are in service yet' using errcode = 'CK002';
    elsif kept <> p_fingerprint then
        raise exception 'order ids are made with another secret than before' using errcode = 'CK003';
    end if;
end $$;

-- Takes a shard over: from here on, whoever held it before is fenced off. Waits for a transaction of
-- theirs that has begun. p_seen: the epoch that the caller decided by; if the shard has moved on since, and
-- not to the caller, nothing happens and the epoch is null. p_seen null: takes it over in any case.
-- No row: the shard is not of the topology in service.
create function checkout.take_over(p_shards integer, p_shard integer, p_member bigint, p_seen bigint)
returns table (epoch bigint, relayed_to bigint)
language sql as $$
    with taken as (
        update checkout.shards s
           set epoch = s.epoch + 1, owner = p_member, taken_at = now()
          from checkout.service v, checkout.relays r
         where s.shards = p_shards and s.shard = p_shard and v.shards = p_shards and r.shard = p_shard
           and (p_seen is null or s.epoch = p_seen or s.owner = p_member)
        returning s.epoch, r.relayed_to),
    noted as (
        insert into checkout.take_overs (shards, shard, epoch, member, name)
        select p_shards, p_shard, t.epoch, p_member,
               (select c.name from checkout.consumers c where c.member_id = p_member)
          from taken t)
    select t.epoch, t.relayed_to from taken t
    union all
    select null, null from checkout.service v where v.shards = p_shards and not exists (select 1 from taken)
$$;

-- Gives a shard back, if it is still ours.
create function checkout.release(p_shards integer, p_shard integer, p_epoch bigint) returns boolean
language sql as $$
    with released as (
        update checkout.shards set owner = null
         where shards = p_shards and shard = p_shard and epoch = p_epoch
        returning 1),
    noted as (
        update checkout.take_overs t set released_at = clock_timestamp()
          from released
         where t.shards = p_shards and t.shard = p_shard and t.epoch = p_epoch)
    select exists (select 1 from released)
$$;

-- ---------------------------------------------------------------------------------------------------
-- The line
-- ---------------------------------------------------------------------------------------------------

-- Ends waiting orders of an item, which leave its line. The one place where that happens. The item's row is
-- locked by the caller. Returns how many there were.
create function checkout.leave_line(p_sku text, p_tickets bigint[], p_status text, p_reason text)
returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = on set enable_indexonlyscan = on
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    ended integer;
begin
    with gone as (
        delete from checkout.line l using unnest(p_tickets) as u(ticket)
         where l.sku = p_sku and l.ticket = u.ticket
        returning l.order_id),
    changed as (
        update checkout.orders o
           set status = p_status, reason = p_reason, ticket = null, payment_method = null,
               sequence = o.sequence + 1, updated_at = now()
          from gone where o.order_id = gone.order_id
        returning o.order_id, o.shard, o.sequence),
    told as (
        insert into checkout.order_events (shard, order_id, sequence, status, reason)
        select c.shard, c.order_id, c.sequence, p_status, p_reason from changed c)
    select count(*) into ended from gone;
    if ended > 0 then
        update checkout.items set waiting = waiting - ended where sku = p_sku;
    end if;
    return ended;
end $$;

-- Rejects up to p_limit waiting orders of an item that can no longer be served: those that want more
-- than stock - sold. The item's row is locked by the caller. Returns how many it rejected.
create function checkout.reject_unservable(p_sku text, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = on set enable_indexonlyscan = on
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    servable integer;
    head bigint;
    home integer;
    tickets bigint[];
begin
    select stock - sold, line_head, shard into servable, head, home from checkout.items where sku = p_sku;
    if servable = 0 then    -- the whole line, from its head
        tickets := array(select ticket from checkout.line where sku = p_sku and ticket >= head
                          order by ticket limit p_limit);
        if cardinality(tickets) > 0 then
            update checkout.items set line_head = tickets[cardinality(tickets)] + 1 where sku = p_sku;
        end if;
    else                    -- only the large orders in it
        tickets := array(select ticket from checkout.line
                          where shard = home and sku = p_sku and quantity > servable
                          order by quantity, ticket limit p_limit);
    end if;
    return checkout.leave_line(p_sku, tickets, 'rejected', 'sold_out');
end $$;

-- Promotes waiting orders from the head of an item's line while they fit into the free units, up to
-- p_limit. The item's row is locked by the caller.
create function checkout.promote(p_sku text, p_limit integer) returns setof checkout.effect
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = on set enable_indexonlyscan = on
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    servable integer;
    free integer;
    head bigint;
begin
    select stock - sold, stock - sold - held, line_head into servable, free, head
      from checkout.items where sku = p_sku;
    return query
    with first as (         -- an order takes a unit at least, so no more than `free` can fit
        select l.ticket, l.order_id, l.quantity
          from checkout.line l
         where l.sku = p_sku and l.ticket >= head and l.quantity <= servable
         order by l.ticket limit least(free, p_limit)),
    fits as (
        select f.ticket, f.order_id
          from (select first.*, sum(quantity) over (order by ticket) as units from first) f
         where f.units <= free),
    left_line as (
        delete from checkout.line l using fits where l.sku = p_sku and l.ticket = fits.ticket
        returning l.order_id),
    changed as (
        update checkout.orders o
           set status = 'reserved', ticket = null, sequence = o.sequence + 1, updated_at = now()
          from left_line where o.order_id = left_line.order_id
        returning o.*),
    intent as (
        insert into checkout.payments (order_id, shard, state, amount, currency, idempotency_key)
        select c.order_id, c.shard, 'open', c.amount, c.currency, c.order_id || '-1' from changed c
        returning 1),
    told as (
        insert into checkout.order_events (shard, order_id, sequence, status)
        select c.shard, c.order_id, c.sequence, 'reserved' from changed c
        returning 1),
    item as (
        update checkout.items i
           set held = i.held + s.units, waiting = i.waiting - s.orders,
               line_head = coalesce((select l.ticket from checkout.line l
                                      where l.sku = p_sku and l.ticket >= head
                                        and not exists (select 1 from fits f where f.ticket = l.ticket)
                                      order by l.ticket limit 1), i.next_ticket)
          from (select coalesce(sum(quantity), 0)::integer as units, count(*)::integer as orders
                  from changed) s
         where i.sku = p_sku and s.orders > 0
        returning 1)
    select 'pay', c.order_id, 1, c.amount, c.currency, c.payment_method, c.receipt_email, c.sku,
           null::text, null::text
      from changed c;
end $$;

-- The clock of a shard's lines, which stands still while the shard is paused; and on it the clock of an
-- item, which stands still while the item is paused too. Nobody's waiting time passes meanwhile, and no
-- row of a line has to be rewritten for that.
create function checkout.shard_clock(s checkout.shards) returns timestamptz
language sql stable parallel safe
return coalesce(s.stopped_at, now()) - s.stopped_ms * interval '1 ms';

create function checkout.item_clock(i checkout.items, s checkout.shards) returns timestamptz
language sql stable parallel safe
return coalesce(i.stopped_at, checkout.shard_clock(s)) - i.stopped_ms * interval '1 ms';

-- Settles an item's line, the end of every transaction that touches an item: refuses who can no longer
-- be served, promotes who fits. Bounded by p_limit each; says `more` when that was not all. The caller
-- holds the fence and the item's row.
create function checkout.settle_item(p_shards integer, p_sku text, p_limit integer)
returns setof checkout.effect
language plpgsql
set enable_seqscan = off set enable_indexscan = on set enable_indexonlyscan = on
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    item record;
    largest integer;
    rejected integer;
    promoted integer := 0;
begin
    select i.*, i.stock - i.sold as servable, s.paused as shard_paused into item
      from checkout.items i join checkout.shards s on s.shards = p_shards and s.shard = i.shard
     where i.sku = p_sku;
    if not found or item.waiting = 0 then
        return;
    end if;
    select quantity into largest from checkout.line
      where shard = item.shard and sku = p_sku order by quantity desc, ticket desc limit 1;
    if largest > item.servable then
        rejected := checkout.reject_unservable(p_sku, p_limit);
        if rejected > 0 then
            return next row('tally', null, null, rejected, null, null, null, p_sku, 'rejected',
                            'sold_out')::checkout.effect;
        end if;
    end if;
    if item.servable > item.held and not item.paused and not item.shard_paused then
        return query select * from checkout.promote(p_sku, p_limit);
        get diagnostics promoted = row_count;
    end if;
    if coalesce(rejected, 0) >= p_limit or promoted >= p_limit then
        return next row('more', null, null, null, null, null, null, p_sku, null, null)::checkout.effect;
    end if;
end $$;

-- A further chunk of a line, as a transaction of its own.
create function checkout.settle_line(p_shards integer, p_shard integer, p_epoch bigint, p_sku text,
                                     p_limit integer)
returns setof checkout.effect
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan set jit = off as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    perform 1 from checkout.items where sku = p_sku for update;
    return query select * from checkout.settle_item(p_shards, p_sku, p_limit);
end $$;

-- ---------------------------------------------------------------------------------------------------
-- Deciding
-- ---------------------------------------------------------------------------------------------------

-- Decides jobs in their order. Arrays of equal length; p_flaws: null, or why the job is invalid.
-- p_wait_ms: how long an order may wait in line.
create function checkout.decide(
    p_shards integer, p_shard integer, p_epoch bigint, p_wait_ms bigint,
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[])
returns setof checkout.effect
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = off set enable_indexonlyscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    fresh integer;
    touched text;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    perform 1 from checkout.items where sku = any (p_skus) and shard = p_shard order by sku for update;

    return query
    with job as (           -- each once, and only those not decided before
        select j.*
          from (select distinct on (u.order_id) u.*
                  from unnest(p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices,
                              p_references, p_accepted, p_fingerprints, p_traces, p_flaws)
                       with ordinality
                       as u(order_id, user_id, sku, quantity, payment_method, receipt_email, unit_price,
                            reference, accepted_at, fingerprint, traceparent, flaw, n)
                 order by u.order_id, u.n) j
         where not exists (select 1 from checkout.orders o where o.order_id = j.order_id)),
    checked as (            -- what each job's fate is but for limits and stock
        select j.*, checkout.item_clock(i, s) as clock, i.price, i.currency, i.next_ticket, i.waiting as ahead, i.limit_per_user,
               i.paused or s.paused as paused, i.stock - i.sold as servable,
               i.stock - i.sold - i.held as free,
               case when (select true from checkout.commands c where c.order_id = j.order_id
                                     and c.kind = 'cancel' and c.state = 'pending') then 'cancelled'
                    when j.flaw is not null then 'invalid'
                    when i.sku is null then 'unknown_item'
                    when i.opens_at > now() or i.closes_at <= now() then 'not_on_sale'
                    when j.unit_price <> i.price then 'price_changed'
               end as refusal,
               i.limit_per_user - case when i.limit_per_user is null then null else
                   (select coalesce(sum(o.quantity), 0) from checkout.orders o
                     where o.user_id = j.user_id and o.sku = j.sku
                       and o.status in ('waiting', 'reserved', 'confirmed'))
               end as room
          from job j
          join checkout.shards s on s.shards = p_shards and s.shard = p_shard
          left join checkout.items i on i.sku = j.sku and i.shard = p_shard),
    limited as (
        select c.*,
               c.refusal is null and c.limit_per_user is not null and c.quantity + coalesce(
                   checkout.taken(c.quantity, c.room)
                       filter (where c.refusal is null and c.quantity <= c.servable)
                       over (partition by c.sku, c.user_id order by c.n
                             rows between unbounded preceding and 1 preceding), 0) > c.room
               as above_limit
          from checked c),
    stocked as (
        select l.*,
               l.refusal is null and not l.above_limit and l.quantity <= l.servable as eligible,
               sum(l.quantity) filter (where l.refusal is null and not l.above_limit
                                         and l.quantity <= l.servable)
                   over (partition by l.sku order by l.n) as units
          from limited l),
    fate as (               -- once one waits, everyone behind waits too: `units` only grows
        select t.*,
               case when t.refusal = 'cancelled' then 'cancelled'
                    when not t.eligible then 'rejected'
                    when not t.paused and t.ahead = 0 and t.units <= t.free then 'reserved'
                    else 'waiting' end as status,
               coalesce(nullif(t.refusal, 'cancelled'),
                        case when t.above_limit then 'limit_exceeded'
                             when not t.eligible and t.refusal is null then 'sold_out' end) as reason
          from stocked t),
    decided as (
        select f.*, count(*) filter (where f.status = 'waiting') over (partition by f.sku order by f.n)
                    as nth_waiting
          from fate f),
    new_order as (
        insert into checkout.orders
            (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint,
             reference, receipt_email, payment_method, traceparent, ticket, sequence, accepted_at)
        select d.order_id, d.user_id, coalesce(d.sku, ''), p_shard, coalesce(d.quantity, 0), d.status,
               d.reason, d.price * d.quantity, d.currency, coalesce(d.fingerprint, ''), d.reference,
               d.receipt_email,
               case when d.status in ('waiting', 'reserved') then d.payment_method end,
               d.traceparent,
               case when d.status = 'waiting' then d.next_ticket + d.nth_waiting - 1 end, 1,
               coalesce(d.accepted_at, now())
          from decided d order by d.n),
    told as (
        insert into checkout.order_events (shard, order_id, sequence, status, reason, place_in_line)
        select p_shard, d.order_id, 1, d.status, d.reason,
               case when d.status = 'waiting' then d.ahead + d.nth_waiting end
          from decided d order by d.n),
    joined as (
        insert into checkout.line (sku, ticket, order_id, shard, quantity, expires_at)
        select d.sku, d.next_ticket + d.nth_waiting - 1, d.order_id, p_shard, d.quantity,
               d.clock + p_wait_ms * interval '1 ms'
          from decided d where d.status = 'waiting' order by d.n),
    cancelled as (
        update checkout.commands c
           set state = 'done', shard = p_shard, result = 'cancelled before it reached the counter',
               finished_at = now()
          from decided d
         where d.status = 'cancelled' and c.state || '' = 'pending'   -- by its id, not through all such
           and c.command_id = (select p.command_id from checkout.commands p where p.order_id = d.order_id
                                  and p.kind = 'cancel' and p.state = 'pending')),
    intent as (
        insert into checkout.payments (order_id, shard, state, amount, currency, idempotency_key)
        select d.order_id, p_shard, 'open', d.price * d.quantity, d.currency, d.order_id || '-1'
          from decided d where d.status = 'reserved' order by d.n),
    item as (
        update checkout.items i
           set held = i.held + s.units, waiting = i.waiting + s.waiters,
               next_ticket = i.next_ticket + s.waiters
          from (select d.sku, coalesce(sum(d.quantity) filter (where d.status = 'reserved'), 0)::integer
                           as units,
                       (count(*) filter (where d.status = 'waiting'))::integer as waiters
                  from decided d where d.status in ('waiting', 'reserved') group by d.sku) s
         where i.sku = s.sku)
    (select 'pay', d.order_id, 1, d.price * d.quantity, d.currency, d.payment_method, d.receipt_email,
            d.sku, null::text, null::text
       from decided d where d.status = 'reserved' order by d.n)
    union all
    select 'tally', null, null, count(*), null, null, null, null, d.status, d.reason
      from decided d group by d.status, d.reason;

    return query            -- a retry with another body: the first counts
    select 'conflict', o.order_id, null::integer, null::bigint, null::text, null::text, null::text, o.sku,
           null::text, null::text
      from unnest(p_ids, p_fingerprints) as u(order_id, fingerprint)
      join checkout.orders o on o.order_id = u.order_id
     where o.fingerprint <> u.fingerprint;

    for touched in          -- nothing here frees a unit, so this only mends
        select i.sku from checkout.items i
         where i.sku = any (p_skus) and i.waiting > 0 and i.shard = p_shard
           and (i.stock - i.sold = 0 or i.stock - i.sold - i.held > 0) order by i.sku
    loop
        return query select * from checkout.settle_item(p_shards, touched, 64);
    end loop;
end $$;

-- ---------------------------------------------------------------------------------------------------
-- Settling
-- ---------------------------------------------------------------------------------------------------

-- Ends payments and their orders: p_states 'captured' (confirmed), 'declined' or 'failed' (rejected, the
-- units go to the next in line). 'superseded': this attempt has failed without taking money, and the next
-- one has its own intent and key. 'unclear': it goes on, and this is recorded. 'action': see checkout.ask_buyers. A payment that has ended
-- before is left alone. No order ends twice.
create function checkout.settle(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_intents text[], p_codes text[])
returns setof checkout.effect
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_indexscan = off set enable_indexonlyscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    touched text;
    skus text[];
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    select coalesce(array_agg(distinct o.sku), '{}') into skus
      from checkout.orders o where o.order_id = any (p_ids) and o.shard = p_shard;
    perform 1 from checkout.items where sku = any (skus) order by sku for update;

    if 'action' = any (p_states) then
        return query select * from checkout.ask_buyers(p_shard, p_ids, p_attempts, p_states, p_intents, p_codes);
    end if;

    return query
    with ended as (
        update checkout.payments p
           set state = case u.state when 'superseded' then 'failed' else u.state end,
               intent_id = u.intent_id, code = u.code, updated_at = now(), action = null,
               look_at = case when u.state = 'superseded' or u.state = 'failed' and u.code = 'resolved'
                                   or u.state = 'captured' and u.intent_id is null
                              then now() + checkout.next_look(0) end
          from unnest(p_ids, p_attempts, p_states, p_intents, p_codes)
               as u(order_id, attempt, state, intent_id, code)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state not in ('unclear', 'action')
           and p.state || '' = 'open'   -- not by the index of all open ones
           and p.shard + 0 = p_shard
        returning p.order_id, p.attempt,    -- what an operator has called not captured is not tried again
                  case when u.state = 'superseded' and p.resolution = 'not-captured' then 'failed'
                       else u.state end as state),
    noted as (              -- not what ends in this very statement
        update checkout.payments p
           set unclear_since = coalesce(p.unclear_since, now()), code = u.code, updated_at = now()
          from unnest(p_ids, p_attempts, p_states, p_codes) as u(order_id, attempt, state, code)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state = 'unclear'
           and p.state || '' = 'open' and p.shard + 0 = p_shard
           and not exists (select 1 from unnest(p_ids, p_states) as e(order_id, state)
                            where e.order_id = u.order_id and e.state not in ('unclear', 'action'))),
    again as (
        insert into checkout.payments (order_id, attempt, shard, state, amount, currency, idempotency_key)
        select o.order_id, e.attempt + 1, o.shard, 'open', o.amount, o.currency,
               o.order_id || '-' || e.attempt + 1
          from ended e join checkout.orders o on o.order_id = e.order_id
         where e.state = 'superseded' and o.status = 'reserved'
        returning order_id, attempt),
    changed as (
        update checkout.orders o
           set status = case e.state when 'captured' then 'confirmed' else 'rejected' end,
               reason = case e.state when 'declined' then 'payment_declined'
                                     when 'failed' then 'payment_failed' end,
               payment_method = null, sequence = o.sequence + 1, updated_at = now()
          from ended e
         where o.order_id = e.order_id and o.status = 'reserved' and e.state <> 'superseded'
        returning o.order_id, o.sku, o.quantity, o.status, o.reason, o.sequence),
    told as (
        insert into checkout.order_events (shard, order_id, sequence, status, reason)
        select p_shard, c.order_id, c.sequence, c.status, c.reason from changed c),
    item as (
        update checkout.items i
           set held = i.held - s.units, sold = i.sold + s.sold_units
          from (select c.sku, sum(c.quantity)::integer as units,
                       coalesce(sum(c.quantity) filter (where c.status = 'confirmed'), 0)::integer
                           as sold_units
                  from changed c group by c.sku) s
         where i.sku = s.sku)
    select 'tally', null::uuid, null::integer, count(*), null::text, null::text, null::text, null::text,
           c.status, c.reason
      from changed c group by c.status, c.reason
    union all
    select 'pay', a.order_id, a.attempt, o.amount, o.currency, o.payment_method, o.receipt_email, o.sku,
           null, null
      from again a join checkout.orders o on o.order_id = a.order_id;

    for touched in
        select sku from checkout.items where sku = any (skus) and waiting > 0 order by sku
    loop
        return query select * from checkout.settle_item(p_shards, touched, 64);
    end loop;
end $$;

-- Rejects up to p_limit orders of a shard that have waited too long, and settles their lines. The orders
-- of a line expire in their order, by the clock of its item, so only heads are looked at.
create function checkout.expire(p_shards integer, p_shard integer, p_epoch bigint, p_limit integer)
returns setof checkout.effect
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    touched text;
    skus text[];
    tickets bigint[];
    expired integer;
    room integer := p_limit;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    select coalesce(array_agg(l.sku order by l.sku), '{}') into skus
      from (select e.sku from checkout.expired_lines(p_shards, array[p_shard]) e limit p_limit) l;
    perform 1 from checkout.items where sku = any (skus) order by sku for update;

    foreach touched in array skus
    loop
        exit when room <= 0;
        tickets := array(
            select h.ticket
              from (select l.ticket, l.expires_at
                      from checkout.line l
                     where l.sku = touched
                       and l.ticket >= (select i.line_head from checkout.items i where i.sku = touched)
                     order by l.ticket limit room) h
             where h.expires_at <= (select checkout.item_clock(i, s)
                                      from checkout.items i
                                      join checkout.shards s on s.shards = p_shards and s.shard = i.shard
                                     where i.sku = touched));
        expired := checkout.leave_line(touched, tickets, 'rejected', 'expired');
        if expired > 0 then
            room := room - expired;
            update checkout.items i
               set line_head = coalesce((select l.ticket from checkout.line l
                                          where l.sku = touched and l.ticket >= i.line_head
                                          order by l.ticket limit 1), i.next_ticket)
             where i.sku = touched;
            return next row('tally', null, null, expired, null, null, null, null, 'rejected',
                            'expired')::checkout.effect;
            return query select * from checkout.settle_item(p_shards, touched, 64);
        end if;
    end loop;
end $$;
