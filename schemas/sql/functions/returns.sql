-- Money that goes back, or is disputed, at the gateway and not by us. What the gateway shows is recorded, each change of
-- it; what follows from it for orders and for our own refunds is done with it.

-- What went back of a payment, as far as it is recorded.
create or replace function checkout.amount_returned(p_intent text) returns bigint
language sql stable
return (select coalesce(sum(n.amount) filter (where n.status = 'succeeded'), 0)::bigint
          from (select distinct on (r.gateway_id) r.amount, r.status from checkout.returns r
                 where r.intent_id = p_intent and r.kind = 'refund'
                 order by r.gateway_id, r.event_id desc) n);

-- What an event tells the shop, if anything, of a refund or a dispute that was `p_was` (null: not known) and is p_status now.
-- p_order: what its order is; p_all: all of the payment went back, which the order's own state tells.
create or replace function checkout.return_event(p_kind text, p_was text, p_status text, p_order text, p_all boolean)
returns text language sql immutable
return case
    when p_kind = 'dispute' then case
        when p_status = 'won' then 'dispute_won'
        when p_status = 'lost' then 'dispute_lost'
        when p_status in ('warning_closed', 'prevented', 'charge_refunded') then 'dispute_closed'
        when p_was is null then 'disputed' end
    when p_status = 'succeeded' then case when not p_all then 'partly_refunded' end
    when p_status in ('failed', 'canceled') and (p_was = 'succeeded' or p_order = 'refunded') then 'refund_failed'
end;

-- What this means for our own refund of the payment: one that we took for done has failed, or one that we could not
-- make was made elsewhere. (An open one finds out for itself.)
create or replace function checkout.correct_refund(p_intent text) returns void
language plpgsql as $$
declare
    r checkout.refunds;
    last record;
begin
    select * into r from checkout.refunds where intent_id = p_intent;
    if r.outside then       -- a person knows more of it than the gateway
        return;
    elsif r.state = 'succeeded' then
        select t.status, t.reason into last from checkout.returns t
         where t.intent_id = p_intent and t.gateway_id = r.refund_id order by t.event_id desc limit 1;
        if last.status in ('failed', 'canceled') and checkout.amount_returned(p_intent) < r.amount then
            update checkout.refunds t set state = 'failed', code = coalesce(last.reason, last.status), updated_at = now()
             where t.order_id = r.order_id and t.attempt = r.attempt;
        end if;
    elsif r.state = 'failed' and checkout.amount_returned(p_intent) >= r.amount then
        update checkout.refunds t set state = 'succeeded', code = 'elsewhere', updated_at = now()
         where t.order_id = r.order_id and t.attempt = r.attempt;
    end if;
end $$;

-- The gateway was asked what went back of a payment: p_list is {"intent", "returns": [{"kind", "id", "amount",
-- "currency", "status", "reason", "ours"}]}, all that there is. p_hints: those that there were when it was asked. An order of
-- which all money went back is refunded, and its units stay sold. The caller holds the fence.
create or replace function checkout.record_returns(p_order uuid, p_attempt integer, p_list jsonb, p_hints text)
returns setof checkout.output
language plpgsql as $$
declare
    intent text := p_list ->> 'intent';
    paid checkout.payments;
    o checkout.orders;
    x record;
    was text;
    event bigint;
    moved integer;
begin
    select * into o from checkout.orders where order_id = p_order;
    select * into paid from checkout.payments
     where order_id = p_order and state || '' = 'captured' and intent_id = intent;
    for x in
        select * from jsonb_to_recordset(p_list -> 'returns')
                   as u(kind text, id text, amount bigint, currency text, status text, reason text, ours boolean)
    loop
        select t.status into was from checkout.returns t
         where t.intent_id = intent and t.gateway_id = x.id order by t.event_id desc limit 1;
        continue when was = x.status;
        insert into checkout.returns (shard, order_id, attempt, intent_id, kind, gateway_id, amount, currency, status,
                                      reason, ours)
        values (o.shard, p_order, p_attempt, intent, x.kind, x.id, x.amount, x.currency, x.status, x.reason, x.ours)
        returning event_id into event;
        update checkout.returns t
           set shop_event = checkout.return_event(x.kind, was, x.status, o.status,
                                           checkout.amount_returned(intent) >= paid.amount or o.status = 'refunded')
         where t.shard = o.shard and t.event_id = event and paid.order_id is not null;
    end loop;
    perform checkout.correct_refund(intent);

    if paid.order_id is not null and o.status = 'confirmed' and checkout.amount_returned(intent) >= paid.amount
       and not exists (select 1 from checkout.refunds r where r.intent_id = intent and r.state || '' = 'open') then
        select count(*) into moved
          from checkout.move_orders(o.shard, array[checkout.move_of(p_order, 'confirmed', 'refunded', null)]);
        return next checkout.output_of(checkout.transition_news('refunded', null, moved));
    end if;
    -- Lists may be late: a hint after which nothing new was to be seen is followed again, twice.
    delete from checkout.return_looks l
     where l.intent_id = intent and l.hints::text = p_hints and (event is not null or l.looks >= 2);
    update checkout.return_looks l set looks = l.looks + 1, look_at = now() + checkout.next_look(l.looks)
     where l.intent_id = intent and l.hints::text = p_hints;
end $$;

-- Money that should have gone back and did not: refunds that failed, at once or later, wherever they were made.
create or replace function checkout.failed_refunds()
returns table (order_id uuid, attempt integer, sku text, shard integer, intent_id text, amount bigint, currency text,
               code text, since timestamptz, owed boolean)
language plpgsql stable as $$
begin
    return query
    select r.order_id, r.attempt, o.sku, r.shard, r.intent_id, r.amount, r.currency, r.code, r.updated_at,
           r.reason = 'late_success' or o.status = 'refunded'
      from checkout.refunds r join checkout.orders o on o.order_id = r.order_id
     where r.state = 'failed'
    union all
    select o.order_id, p.attempt, o.sku, o.shard, f.intent_id, p.amount - checkout.amount_returned(f.intent_id), p.currency,
           f.code, f.since, true
      from (select distinct on (t.intent_id) t.intent_id, t.order_id, coalesce(t.reason, t.status) as code,
                   t.created_at as since
              from checkout.returns t
             where t.kind = 'refund' and t.status in ('failed', 'canceled')
             order by t.intent_id, t.event_id desc) f
      join checkout.orders o on o.order_id = f.order_id and o.status = 'refunded'
      join checkout.payments p on p.order_id = f.order_id and p.intent_id = f.intent_id and p.state || '' = 'captured'
     where checkout.amount_returned(f.intent_id) < p.amount
       and not exists (select 1 from checkout.refunds r where r.intent_id = f.intent_id);
end $$;

-- How many of them are money that a buyer is owed. Whoever asks for the number need not see the money.
create or replace function checkout.refunds_owed() returns bigint
language sql stable security definer set search_path = '' as $$
    select count(*) from checkout.failed_refunds() f where f.owed
$$;

-- Which of the gateway's refunds and disputes (arrays of equal length), of payments of ours, are not recorded as they
-- are. Those of a refund that is under way here are not looked at.
create or replace function checkout.audit_returns(p_ids text[], p_intents text[], p_statuses text[])
returns table (order_id text, sku text, shard integer, intent_id text, found text)
language plpgsql stable as $$
begin
    return query
    select p.order_id::text, o.sku, o.shard, g.intent_id, format('%s is %s at the gateway', g.id, g.status)
      from unnest(p_ids, p_intents, p_statuses) as g(id, intent_id, status)
      cross join lateral checkout.payment_of_intent(g.intent_id) p
      join checkout.orders o on o.order_id = p.order_id
     where not exists (select 1 from checkout.refunds r
                        where r.intent_id = g.intent_id
                          and (r.state = 'open'
                               or r.refund_id = g.id and case when r.outside then 'failed' else r.state end = g.status))
       and g.status is distinct from (select t.status from checkout.returns t
                                       where t.intent_id = g.intent_id and t.gateway_id = g.id
                                       order by t.event_id desc limit 1);
end $$;

-- What operators see of an order's: each refund and dispute, as it is now, and whether it was our own.
create or replace function checkout.show_returns(p_order uuid)
returns table (kind text, id text, amount bigint, currency text, status text, reason text, attempt integer,
               since timestamptz, seen_at timestamptz, ours boolean)
language plpgsql stable as $$
begin
    return query
    select distinct on (t.gateway_id) t.kind, t.gateway_id, t.amount, t.currency, t.status, t.reason, t.attempt,
           min(t.created_at) over (partition by t.gateway_id), t.created_at,
           t.ours
      from checkout.returns t where t.order_id = p_order
     order by t.gateway_id, t.event_id desc;
end $$;
