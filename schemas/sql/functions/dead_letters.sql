-- Dead letters that an operator wants tried again, by the console (consumer/shard/dead_replay.c).

-- Whether somebody wants them replayed: the command, if no other consumer and no checkoutctl is at it. The session keeps
-- the lock of these (ctl/dead/dead_queue.c) until checkout.end_replay.
create or replace function checkout.begin_replay() returns bigint
language plpgsql as $$
declare
    wanted bigint;
begin
    select c.command_id into wanted from checkout.commands c
     where c.kind = 'replay' and c.state = 'pending' order by c.command_id limit 1;
    if wanted is null or not pg_try_advisory_lock(1128811600, 1) then
        return null;
    end if;
    return wanted;
end $$;

create or replace function checkout.end_replay(p_command bigint, p_state text, p_result text) returns void
language plpgsql as $$
begin
    update checkout.commands c set state = p_state, result = p_result, finished_at = now()
     where c.command_id = p_command and c.kind = 'replay' and c.state = 'pending';
    perform pg_advisory_unlock(1128811600, 1);
end $$;

-- Jobs of dead letters, as consumer/shard/dead_replay.c writes them. Asks the owners of their shards to decide them, except for
-- orders that were decided or set aside. Returns for how many it asked.
create or replace function checkout.request_readmission(p_jobs jsonb) returns bigint
language plpgsql as $$
declare
    asked bigint;
begin
    insert into checkout.commands (kind, shard, order_id, argument, requested_by)
    select 'readmit', (j.job ->> 'shard')::integer, (j.job ->> 'order_id')::uuid, j.job - 'order_id' - 'shard', 'replay'
      from (select distinct on (e ->> 'order_id') e as job from jsonb_array_elements(p_jobs) e) j
     where checkout.home_of((j.job ->> 'order_id')::uuid) is null
       and not exists (select 1 from checkout.purged_orders p where p.order_id = (j.job ->> 'order_id')::uuid);
    get diagnostics asked = row_count;
    return asked;
end $$;

-- Sets the job aside, where its owner finds and decides it, as any that could not be decided when it came. What is secret
-- of it leaves the command.
create or replace function checkout.run_readmit(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    j constant jsonb := c.argument;
    put bigint;
    why constant text := 'its dead letter was replayed';
begin
    put := checkout.put_aside(
        c.shard, null, why, array[c.order_id], array[j ->> 'user'], array[j ->> 'sku'],
        array[(j ->> 'quantity')::integer], array[j ->> 'payment_method'], array[j ->> 'receipt_email'],
        array[(j ->> 'unit_price')::bigint], array[j ->> 'reference'], array[(j ->> 'accepted_at')::timestamptz],
        array[j ->> 'fingerprint'], array[j ->> 'traceparent'], array[j ->> 'flaw'], array[j ->> 'gateway_customer'],
        array[j ->> 'human'], array[j ->> 'mail_to'], array[j ->> 'locale']);
    update checkout.commands t set argument = null where t.command_id = c.command_id;
    if put > 0 then
        return next checkout.output_of(checkout.set_aside_news(put, j ->> 'sku', why));
        return next checkout.command_end(c, 'done', 'set aside, to be decided');
    else
        return next checkout.command_end(c, 'done', 'nothing to do: it was decided');
    end if;
end $$;
