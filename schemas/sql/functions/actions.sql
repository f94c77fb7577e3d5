-- Buyers who have to act at their bank (3-D Secure): what they are to do.

-- What the buyer of an order is asked to do now, and until when; null: nothing. (The time is written here, since who may
-- call it may call nothing else.)
create or replace function checkout.open_action(p_order uuid) returns text
language sql stable
return (select (p.action || jsonb_build_object('expires_at',
                    to_char(p.action_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text
          from checkout.payments p
         where p.order_id = p_order and p.state || '' = 'open' and p.action is not null
         order by p.attempt desc limit 1);

-- What an event tells of that, if it is the newest one of its order. (Of columns, not of rows: who may not read
-- all of an order may call it.)
create or replace function checkout.next_action(p_order uuid, p_status text, p_sequence integer, p_newest integer)
returns text
language sql stable
return case when p_status = 'reserved' and p_sequence > 1 and p_sequence = p_newest
            then checkout.open_action(p_order) end;

-- The gateway wants the buyers of some payments to act: the units stay held for them, until a time that is
-- fixed here, once, and an event says what to do. A code is {"wait_ms", "action"}. The caller holds the fence.
create or replace function checkout.await_buyers(p_shard integer, p_ids uuid[], p_attempts integer[], p_states text[],
                                                 p_intents text[], p_codes text[])
returns setof checkout.output
language plpgsql as $$
declare
    moves checkout.move[];
begin
    with asked as (
        update checkout.payments p
           set intent_id = u.intent_id, action = u.code::jsonb -> 'action', code = 'requires_action',
               action_until = now() + (u.code::jsonb ->> 'wait_ms')::bigint * interval '1 ms',
               updated_at = now()
          from unnest(p_ids, p_attempts, p_states, p_intents, p_codes)
               as u(order_id, attempt, state, intent_id, code)
         where p.order_id = u.order_id and p.attempt = u.attempt and u.state = 'action'
           and u.code is not null and p.action_until is null
           and p.state || '' = 'open' and p.shard + 0 = p_shard
        returning p.order_id)
    select array_agg(checkout.move_of(a.order_id, 'reserved', 'reserved', null)) into moves from asked a;
    perform 1 from checkout.move_orders(p_shard, moves);

    return query
    select checkout.await_buyer_task(
               p.order_id, p.attempt, greatest(0, (extract(epoch from p.action_until - now()) * 1000)::bigint)),
           null::checkout.news
      from unnest(p_ids, p_attempts, p_states) as u(order_id, attempt, state)
      join checkout.payments p on p.order_id = u.order_id and p.attempt = u.attempt
     where u.state = 'action' and p.state || '' = 'open' and p.action_until is not null;
end $$;
