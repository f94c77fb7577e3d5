-- What the gateway tells by its webhooks: hints, and how they fare.

-- So many webhooks were taken, and refused, since the last call of that producer.
create or replace function checkout.note_webhooks(p_taken bigint, p_refused bigint, p_why text) returns void
language sql security invoker set search_path = '' as $$
    insert into checkout.webhook_counts as w (taken, taken_at, refused, refused_at, refused_why)
    values (p_taken, case when p_taken > 0 then now() end, p_refused, case when p_refused > 0 then now() end, p_why)
        on conflict (only_row) do update
       set taken = w.taken + excluded.taken, taken_at = coalesce(excluded.taken_at, w.taken_at),
           refused = w.refused + excluded.refused, refused_at = coalesce(excluded.refused_at, w.refused_at),
           refused_why = coalesce(excluded.refused_why, w.refused_why)
$$;

-- The payment of ours that an intent of the gateway is.
create or replace function checkout.payment_of_intent(p_intent text)
returns table (order_id uuid, attempt integer, shard integer)
language plpgsql stable as $$
begin
    return query
    select p.order_id, p.attempt, p.shard from checkout.payments p
     where hashtext(p.intent_id) = hashtext(p_intent) and p.intent_id = p_intent
    union
    select r.order_id, r.attempt, r.shard from checkout.refunds r where r.intent_id = p_intent
    limit 1;
end $$;

-- Whether an event of a payment can change anything: of a payment itself, if that is open, or a success is news; of
-- a refund or a dispute, unless it tells that our own refund has succeeded, which we know.
create or replace function checkout.event_matters(p_order uuid, p_type text, p_intent text, p_object text, p_status text)
returns boolean
language sql stable as $$
    select case
        when p_type like 'payment_intent.%' then
            exists (select 1 from checkout.payments p where p.order_id = p_order and p.state || '' = 'open')
            or p_type = 'payment_intent.succeeded'
               and not exists (select 1 from checkout.payments p
                                where p.order_id = p_order and p.state || '' = 'captured' and p.intent_id = p_intent)
               and not exists (select 1 from checkout.refunds r where r.intent_id = p_intent)
        when p_type like 'charge.dispute.%' then true
        else not exists (select 1 from checkout.refunds r
                          where r.intent_id = p_intent and r.state || '' = 'succeeded'
                            and (p_type = 'charge.refunded' or r.refund_id = p_object and p_status = 'succeeded'))
    end
$$;

-- What the gateway tells: an event (once; of a type that may matter), or (p_taken not null) how many there were. The
-- content of an event decides only whether to look: p_order is the order that the object names, p_intent its payment,
-- p_object what the event is about, which is p_status. Returns whether the owner is asked to look.
drop function if exists checkout.hear_gateway(text, text, uuid, text, text, text);
create or replace function checkout.hear_gateway(
    p_event text, p_type text, p_order uuid, p_intent text, p_object text, p_status text,
    p_taken bigint default null, p_refused bigint default null, p_why text default null)
returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    o record;
begin
    if p_taken is not null then
        perform checkout.note_webhooks(p_taken, p_refused, p_why);
        return false;
    end if;
    select t.order_id, t.shard into o from checkout.orders t where t.order_id = p_order;
    if not found and p_intent is not null then
        select t.order_id, t.shard into o from checkout.payment_of_intent(p_intent) t;
    end if;
    if o.order_id is null or not checkout.event_matters(o.order_id, p_type, p_intent, p_object, p_status) then
        return false;
    end if;
    insert into checkout.commands (kind, shard, order_id, argument, requested_by)
    values ('webhook', coalesce(checkout.home_of(o.order_id), o.shard), o.order_id,
            jsonb_strip_nulls(jsonb_build_object('event', p_event, 'type', p_type, 'intent', p_intent)), 'gateway')
        on conflict ((argument ->> 'event')) where kind = 'webhook' do nothing;
    return true;
end $$;

-- Asks the owner to look at what went back of a payment.
create or replace function checkout.look_at_returns(p_order uuid, p_intent text) returns setof checkout.output
language plpgsql as $$
declare
    l checkout.return_looks;
begin
    insert into checkout.return_looks as t (intent_id, shard, order_id, attempt)
    select p_intent, p.shard, p.order_id, p.attempt
      from checkout.payment_of_intent(p_intent) p where p.order_id = p_order
        on conflict (intent_id) do update set hints = t.hints + 1, looks = 0, look_at = now()
    returning * into l;
    if found then
        return next checkout.output_of(checkout.look_at_returns_task(l));
    end if;
end $$;

-- An open payment is looked at now. One that ended without money is, too, if the gateway says that it took some.
-- After a hint at a refund or a dispute (or the audit's, which has seen one), those of the payment are looked at.
create or replace function checkout.run_webhook(c checkout.commands) returns setof checkout.output
language plpgsql as $$
begin
    if c.argument ->> 'type' not like 'payment_intent.%' then
        return query select * from checkout.look_at_returns(c.order_id, c.argument ->> 'intent');
        return next checkout.command_end(c, 'done', case when found then 'it is looked what went back'
                                                         else 'it is no payment of this order' end);
    elsif exists (select 1 from checkout.payments p where p.order_id = c.order_id and p.state || '' = 'open') then
        return next checkout.output_of(checkout.check_task(c.order_id));
        return next checkout.command_end(c, 'done', 'its payment is looked at');
    elsif c.argument ->> 'type' = 'payment_intent.succeeded' then
        update checkout.payments p set look_at = now(), looks = least(p.looks, 5)
         where p.order_id = c.order_id and p.state || '' in ('declined', 'failed');
        return next checkout.command_end(c, 'done', case when found then 'it is looked whether money was taken'
                                                         else 'it was known' end);
    else
        return next checkout.command_end(c, 'done', 'nothing is open');
    end if;
end $$;

-- How long an executed webhook is remembered: longer than the gateway goes on telling of it (three days).
create or replace function checkout.webhook_memory() returns interval
language sql immutable return interval '7 days';

-- Forgets the oldest executed webhooks of a shard that are older. The role of the owner deletes no commands itself.
-- The caller holds the fence.
create or replace function checkout.forget_webhooks(p_shard integer, p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
begin
    delete from checkout.commands c
     where c.command_id = any (array(
               select w.command_id from checkout.commands w
                where w.kind = 'webhook' and w.shard = p_shard and w.finished_at < now() - checkout.webhook_memory()
                order by w.finished_at limit p_limit));
end $$;
