-- Refunds: money that goes back, and looking for money that was taken after all.

-- Payments that ended without a capture, and by a word that the gateway did not give for good: it is looked
-- at again, so often and so late, whether money was taken after all.
create or replace function checkout.next_look(p_looks integer) returns interval
language sql immutable
return (array['5 s', '30 s', '3 min', '15 min', '1 h', '6 h', '24 h']::interval[])[p_looks + 1];

-- Refunds the payment `p_intent` of an order; once: if it is refunded already, nothing happens. One
-- that the gateway refused before is tried again, under a key of its own.
create or replace function checkout.start_refund(p_order uuid, p_attempt integer, p_intent text, p_amount bigint,
                                      p_reason text, p_restock boolean, p_note text)
returns setof checkout.output
language plpgsql as $$
declare
    o checkout.orders;
    r checkout.refunds;
begin
    select * into strict o from checkout.orders where order_id = p_order;
    update checkout.refunds t
       set state = 'open', tries = t.tries + 1, key_since = now(), updated_at = now(), unclear_since = null,
           idempotency_key = format('%s-%s-refund-%s', t.order_id, t.attempt, t.tries + 1),
           restock = p_restock, note = coalesce(p_note, t.note)
     where t.intent_id = p_intent and t.state || '' = 'failed'
    returning * into r;
    if not found then
        insert into checkout.refunds (order_id, attempt, shard, state, amount, currency, intent_id,
                                      idempotency_key, reason, restock, note)
        values (p_order, p_attempt, o.shard, 'open', p_amount, o.currency, p_intent,
                format('%s-%s-refund', p_order, p_attempt), p_reason, p_restock, p_note)
            on conflict do nothing
        returning * into r;
    end if;
    if r.order_id is not null then
        return next checkout.output_of(checkout.refund_task(r, o.sku));
    end if;
end $$;

-- The gateway has taken money for an order: refunds it, unless it is the order's due, or may still be, or
-- is known. Whoever has seen the success at the gateway itself may call this, again and again.
create or replace function checkout.refund_late_capture(p_order uuid, p_intent text, p_amount bigint)
returns setof checkout.output
language plpgsql as $$
declare
    o checkout.orders;
    p checkout.payments;
    of_attempt integer;
begin
    select * into o from checkout.orders where order_id = p_order;
    if not found or o.status in ('waiting', 'reserved') or p_amount < 1 then
        return;             -- an open payment finds out for itself
    end if;
    select * into p from checkout.payments where order_id = p_order and state || '' = 'captured';
    if found and p.intent_id is null then   -- an operator said so; now it is known which one that was
        update checkout.payments set intent_id = p_intent where order_id = p_order and attempt = p.attempt;
        return;
    elsif p.intent_id = p_intent
          or exists (select 1 from checkout.refunds r where r.intent_id = p_intent) then
        return;
    end if;
    select coalesce(
               (select min(a.attempt) from checkout.payments a
                 where a.order_id = p_order and a.intent_id = p_intent),
               (select min(a.attempt) from checkout.payments a
                 where a.order_id = p_order and a.state || '' <> 'captured'
                   and not exists (select 1 from checkout.refunds r
                                    where r.order_id = p_order and r.attempt = a.attempt)),
               1 + greatest((select max(a.attempt) from checkout.payments a where a.order_id = p_order),
                            (select max(r.attempt) from checkout.refunds r where r.order_id = p_order)))
      into of_attempt;
    return query
    select * from checkout.start_refund(p_order, coalesce(of_attempt, 1), p_intent, p_amount, 'late_success',
                                        false, null);
    if found then
        return next checkout.output_of(checkout.late_capture_news(p_order, o.sku, o.status, p_intent));
    end if;
end $$;

-- The units of a refunded order go back on sale, once, though that was not asked for with its refund.
create or replace function checkout.restock_refunded(c checkout.commands, o checkout.orders)
returns setof checkout.output
language plpgsql as $$
declare
    r checkout.refunds;
begin
    select * into r from checkout.refunds t where t.order_id = o.order_id and t.reason = 'requested';
    if not found then
        return next checkout.command_end(c, 'refused', format('its money went back at the gateway, and no refund of ours '
            'has its units: put them on sale with items restock %s %s', o.sku, o.quantity));
    elsif r.restock then
        return next checkout.command_end(c, 'done', 'it was refunded before, and its units went back on sale then');
    else
        update checkout.refunds t set restock = true, updated_at = now()
         where t.order_id = r.order_id and t.attempt = r.attempt;
        update checkout.items set sold = sold - o.quantity where sku = o.sku;
        return next checkout.output_of(checkout.item_changed_news(o.sku));
        return next checkout.command_end(c, 'done', format('it was refunded before; its %s units go back on sale now',
                                                           o.quantity));
    end if;
end $$;

-- Makes a refund that has failed, or that waits for another day, now. p_restock: as it is to be, null: as it is.
create or replace function checkout.retry_refund(r checkout.refunds, p_sku text, p_restock boolean, p_note text)
returns setof checkout.output
language plpgsql as $$
begin
    if r.state = 'failed' then
        return query
        select * from checkout.start_refund(r.order_id, r.attempt, r.intent_id, r.amount, r.reason,
                                            coalesce(p_restock, r.restock), p_note);
    else
        update checkout.refunds t
           set try_at = null, restock = coalesce(p_restock, t.restock), note = coalesce(p_note, t.note)
         where t.order_id = r.order_id and t.attempt = r.attempt
        returning * into r;
        return next checkout.output_of(checkout.refund_task(r, p_sku));
    end if;
end $$;

-- An operator wants the payment of a confirmed order refunded.
create or replace function checkout.refund_own(c checkout.commands, o checkout.orders, p checkout.payments)
returns setof checkout.output
language plpgsql as $$
declare
    r checkout.refunds;
    again boolean := coalesce((c.argument ->> 'restock')::boolean, false);
begin
    select * into r from checkout.refunds where order_id = o.order_id and attempt = p.attempt;
    if p.intent_id is null then
        return next checkout.command_end(c, 'refused', 'the gateway''s id of its payment is not known '
            '(an operator said that it was captured): refund it at the gateway');
    elsif r.state = 'open' and r.try_at is not null then
        return query select * from checkout.retry_refund(r, o.sku, r.restock or again, c.argument ->> 'note');
        return next checkout.command_end(c, 'done', format('refund of %s, which the gateway did not make before (%s), '
            'begun again', checkout.money_text(r.amount, r.currency), r.code));
    elsif r.state = 'open' then
        update checkout.refunds t set restock = true
         where again and t.order_id = r.order_id and t.attempt = r.attempt;
        return next checkout.command_end(c, 'done', 'its refund is under way already, its units '
            || case when r.restock or again then 'go back on sale' else 'stay sold' end);
    else
        return query
        select * from checkout.start_refund(o.order_id, p.attempt, p.intent_id, p.amount, 'requested', again,
                                            c.argument ->> 'note');
        return next checkout.command_end(c, 'done', format('refund of %s begun, its units %s',
            checkout.money_text(p.amount, p.currency), case when again then 'go back on sale' else 'stay sold' end));
    end if;
end $$;

-- The same of an order that is refunded: what failed since is made again, and units that stayed sold may go back.
create or replace function checkout.refund_refunded(c checkout.commands, o checkout.orders)
returns setof checkout.output
language plpgsql as $$
declare
    failed record;
begin
    select f.* into failed from checkout.failed_refunds() f
     where f.order_id = o.order_id and f.intent_id in (select p.intent_id from checkout.payments p
                                                        where p.order_id = o.order_id and p.state || '' = 'captured');
    if failed.order_id is not null then
        return query
        select * from checkout.start_refund(o.order_id, failed.attempt, failed.intent_id, failed.amount, 'requested',
                                            coalesce((select t.restock from checkout.refunds t
                                                       where t.intent_id = failed.intent_id), false),
                                            c.argument ->> 'note');
        return next checkout.command_end(c, 'done', format('refund of %s, which failed after the order was refunded,'
            ' begun again', checkout.money_text(failed.amount, failed.currency)));
    elsif (c.argument ->> 'restock')::boolean then
        return query select * from checkout.restock_refunded(c, o);
    else
        return next checkout.command_end(c, 'done', 'it was refunded before');
    end if;
end $$;

-- An operator wants an order refunded: {"restock", "note", "own", "payment"}. A late capture whose refund failed, or waits
-- for another day, is refunded first, whatever the order's state: its own payment beside it must be asked for (own), as one
-- of several (payment: its attempt). The command's argument gets the attempt whose refund this is about.
create or replace function checkout.run_refund(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    o checkout.orders;
    own checkout.payments;
    late checkout.refunds;
    wanted integer := (c.argument ->> 'payment')::integer;
    again boolean := coalesce((c.argument ->> 'restock')::boolean, false);
begin
    select * into o from checkout.orders where order_id = c.order_id;
    if not found then
        return next checkout.command_end(c, 'refused', 'there is no such order');
        return;
    end if;
    select * into own from checkout.payments where order_id = o.order_id and state || '' = 'captured';
    if not coalesce((c.argument ->> 'own')::boolean, false) then
        select * into late from checkout.refunds r
         where r.order_id = o.order_id and r.reason = 'late_success' and r.attempt = coalesce(wanted, r.attempt)
           and (r.state = 'failed' or r.state = 'open' and r.try_at is not null)
         order by r.created_at limit 1;
    end if;
    update checkout.commands
       set argument = coalesce(argument, '{}') || jsonb_build_object('attempt', coalesce(late.attempt, own.attempt))
     where command_id = c.command_id;
    if late.order_id is not null and again then
        return next checkout.command_end(c, 'refused', format('payment %s of it was taken for nothing: its refund has no '
            'units to restock; for the order''s own payment ask with --own', late.attempt));
    elsif late.order_id is not null then
        return query select * from checkout.retry_refund(late, o.sku, null, c.argument ->> 'note');
        return next checkout.command_end(c, 'done', format('refund of %s, which was taken for nothing (payment %s), '
            'begun again', checkout.money_text(late.amount, late.currency), late.attempt)
            || case when o.status = 'confirmed' then '; the order''s own payment stays: ask for it with --own' else '' end);
    elsif wanted is distinct from own.attempt and wanted is not null then
        return next checkout.command_end(c, 'refused', format('no refund of its payment %s has failed', wanted));
    elsif o.status = 'refunded' then
        return query select * from checkout.refund_refunded(c, o);
    elsif o.status = 'confirmed' then
        return query select * from checkout.refund_own(c, o, own);
    else
        return next checkout.command_end(c, 'refused', case o.status
            when 'reserved' then 'its payment is under way: only a confirmed order can be refunded'
            when 'waiting' then 'it is on the waitlist, and nothing was paid'
            else format('it is %s, and nothing is to be paid back',
                        o.status || coalesce(' (' || o.reason || ')', '')) end);
    end if;
end $$;

-- What follows from a refund that has succeeded: its order is refunded if that was asked for.
create or replace function checkout.follow_refund(r checkout.refunds) returns setof checkout.output
language plpgsql as $$
declare
    o checkout.orders;
begin
    if r.reason <> 'requested' then
        return;
    end if;
    select m.* into o
      from checkout.move_orders(r.shard, array[checkout.move_of(r.order_id, 'confirmed', 'refunded', null)]) m;
    if not found then
        return;
    end if;
    if r.restock then
        update checkout.items set sold = sold - o.quantity where sku = o.sku;
    end if;
    return next checkout.output_of(checkout.transition_news('refunded', null, 1));
    if r.restock then
        return next checkout.output_of(checkout.item_changed_news(o.sku));
    end if;
end $$;

-- The gateway has made a refund.
create or replace function checkout.finish_refund(p_order uuid, p_attempt integer, p_refund text, p_code text)
returns setof checkout.output
language plpgsql as $$
declare
    r checkout.refunds;
begin
    update checkout.refunds t
       set state = 'succeeded', refund_id = p_refund, code = p_code, updated_at = now()
     where t.order_id = p_order and t.attempt = p_attempt and t.state || '' = 'open'
    returning * into r;
    if found then
        return query select * from checkout.follow_refund(r);
    end if;
end $$;

-- An operator says that the money of a refund that failed went back outside of the gateway: {"note", "payment"} (of several
-- the attempt). Then it has succeeded, and what the gateway shows of it changes nothing any more. One that was made in the
-- gateway's dashboard, and failed, has no row yet.
create or replace function checkout.resolve_refunded(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    failed record;
    r checkout.refunds;
    wanted constant integer := (c.argument ->> 'payment')::integer;
begin
    select f.*, count(*) over () as of_them, string_agg(f.attempt::text, ', ') over wide as attempts into failed
      from checkout.failed_refunds() f
     where f.order_id = c.order_id and (wanted is null or f.attempt = wanted)
    window wide as (order by f.attempt rows between unbounded preceding and unbounded following) limit 1;
    if not found then
        return next checkout.command_end(c, 'refused', 'no refund of its '
            || coalesce('payment ' || wanted, 'payments') || ' has failed');
        return;
    elsif failed.of_them > 1 then
        return next checkout.command_end(c, 'refused', format('refunds of its payments %s have failed: name one with --payment',
                                                               failed.attempts));
        return;
    end if;
    update checkout.refunds t
       set state = 'succeeded', outside = true, code = 'outside', note = c.argument ->> 'note', updated_at = now()
     where t.intent_id = failed.intent_id and t.state || '' = 'failed'
    returning * into r;
    if not found then
        insert into checkout.refunds (order_id, attempt, shard, state, amount, currency, intent_id, idempotency_key, reason,
                                      note, code, outside)
        values (failed.order_id, failed.attempt, failed.shard, 'succeeded', failed.amount, failed.currency, failed.intent_id,
                format('%s-%s-refund', failed.order_id, failed.attempt), 'requested', c.argument ->> 'note', 'outside', true)
        returning * into r;
    end if;
    return query select * from checkout.follow_refund(r);
    return next checkout.command_end(c, 'done', format('recorded: %s went back outside of the gateway',
                                                       checkout.money_text(r.amount, r.currency)));
end $$;

-- Records what came of refunds, and of late looks (arrays of equal length):
--   succeeded, failed   it has ended; p_refs: the gateway's id of the refund
--   again               the gateway has not executed it: the next try has a key of its own
--   later               ... and would not now: the next try is made tomorrow
--   unclear             it goes on, and this is recorded
--   late                the gateway took p_amounts by the intent p_refs (the attempt is not looked at)
--   returns             what went back of a payment, by whomever: p_refs and p_codes as of checkout.record_returns
--   looked              the whole list was read, after `late` was said of all in it
create or replace function checkout.record_refunds(
    p_shards integer, p_shard integer, p_epoch bigint,
    p_ids uuid[], p_attempts integer[], p_states text[], p_refs text[], p_amounts bigint[], p_codes text[])
returns setof checkout.output
language plpgsql as $$
declare
    u record;
    r checkout.refunds;
    skus text[];
    skipped text[];
    touched text;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    skus := array(select distinct o.sku
                    from unnest(p_ids, p_states) as e(order_id, state)
                    join checkout.orders o on o.order_id = e.order_id
                   where e.state in ('succeeded', 'returns') and o.shard = p_shard);
    skipped := checkout.lock_items(p_shard, skus);
    if cardinality(skipped) > 0 then
        return query select * from checkout.not_recorded(p_ids, p_attempts, skipped);
        p_ids := checkout.not_of_items(p_ids, skipped);
    end if;

    for u in
        select e.* from unnest(p_ids, p_attempts, p_states, p_refs, p_amounts, p_codes) with ordinality
                        as e(order_id, attempt, state, ref, amount, code, n)
          join checkout.orders o on o.order_id = e.order_id
         where o.shard = p_shard order by e.n
    loop
        if u.state = 'succeeded' then
            return query select * from checkout.finish_refund(u.order_id, u.attempt, u.ref, u.code);
        elsif u.state = 'late' then
            return query select * from checkout.refund_late_capture(u.order_id, u.ref, u.amount);
        elsif u.state = 'returns' then
            return query select * from checkout.record_returns(u.order_id, u.attempt, u.ref::jsonb, u.code);
        elsif u.state = 'looked' then
            update checkout.payments p
               set look_at = now() + checkout.next_look(p.looks + 1), looks = p.looks + 1
             where p.order_id = u.order_id and p.attempt = u.attempt
               and p.look_at + interval '0' <= now();   -- not by the index of all that are due
        else
            update checkout.refunds t
               set state = case u.state when 'failed' then 'failed' else 'open' end,
                   -- with it ends the wish to restock, unless the units went back before
                   restock = t.restock and (u.state <> 'failed' or (select o.status = 'refunded' from checkout.orders o
                                                                     where o.order_id = t.order_id)),
                   tries = t.tries + case when u.state in ('again', 'later') then 1 else 0 end,
                   key_since = case when u.state in ('again', 'later') then now() else t.key_since end,
                   try_at = case u.state when 'later' then now() + interval '1 day' end,
                   idempotency_key = case when u.state in ('again', 'later')
                       then format('%s-%s-refund-%s', t.order_id, t.attempt, t.tries + 1)
                       else t.idempotency_key end,
                   unclear_since = case when u.state in ('unclear', 'later') then coalesce(t.unclear_since, now())
                                        else t.unclear_since end,
                   code = case u.state when 'again' then coalesce(t.code, u.code) else u.code end, updated_at = now()
             where t.order_id = u.order_id and t.attempt = u.attempt and t.state || '' = 'open'
            returning * into r;
            if found and u.state = 'again' then
                return next checkout.output_of(checkout.refund_task(
                    r, (select o.sku from checkout.orders o where o.order_id = r.order_id)));
            end if;
        end if;
    end loop;

    for touched in
        select sku from checkout.items where sku = any (skus) and not sku = any (skipped) and waiting > 0 order by sku
    loop
        return query select * from checkout.settle_waiting(p_shards, touched, 64);
    end loop;
end $$;

-- Open refunds of shards, older than p_age_ms (as checkout.resume_charges), payments that are due for a late look,
-- and those that are to be looked at for what went back.
create or replace function checkout.resume_refunds(p_shard_list integer[], p_age_ms bigint, p_limit integer)
returns table (shard integer, task checkout.task)
language plpgsql stable as $$
begin
    return query
    select f.shard, checkout.refund_task(f, o.sku)
      from checkout.refunds f
      cross join lateral (select * from checkout.orders where order_id = f.order_id limit 1) o
     where f.shard = any (p_shard_list) and f.state = 'open'
       and (f.key_since <= now() - p_age_ms * interval '1 ms' or f.key_since > now() or p_age_ms = 0)
       and (f.try_at is null or f.try_at <= now())
     order by f.created_at limit p_limit;

    return query
    select p.shard, checkout.reconcile_task(p.order_id, p.attempt, p.amount, p.currency, o.sku,
                                            checkout.age_ms(p.created_at))
      from (select q.* from unnest(p_shard_list) s
             cross join lateral (select t.* from checkout.payments t
                                  where t.shard = s and t.look_at is not null and t.look_at <= now()
                                  order by t.look_at limit p_limit) q) p
      cross join lateral (select * from checkout.orders where order_id = p.order_id limit 1) o
     limit p_limit;

    return query
    select l.shard, checkout.look_at_returns_task(l)
      from checkout.return_looks l
     where l.shard = any (p_shard_list) and l.look_at <= now() - p_age_ms * interval '1 ms'
     order by l.look_at limit p_limit;
end $$;
