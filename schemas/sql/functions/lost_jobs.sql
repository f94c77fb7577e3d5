-- Jobs that the broker dropped before they were decided (a TTL, a length, a delivery limit).

-- A consumer has read of such jobs: p_jobs is [{"order_id", "shard", "user", "sku", "quantity", "reference",
-- "fingerprint", "traceparent", "accepted_at", "cause"}], of each what is known. Asks the owners of their shards to end
-- them, except for orders that were decided. Returns how many commands it wrote.
create or replace function checkout.request_expiry(p_jobs jsonb) returns bigint
language sql as $$
    with asked as (
        insert into checkout.commands (kind, shard, order_id, argument, requested_by)
        select 'expire', (j ->> 'shard')::integer, (j ->> 'order_id')::uuid, j - 'order_id' - 'shard', 'broker'
          from jsonb_array_elements(p_jobs) j
         where not exists (select 1 from checkout.orders o where o.order_id = (j ->> 'order_id')::uuid)
           and not exists (select 1 from checkout.purged_orders p where p.order_id = (j ->> 'order_id')::uuid)
            on conflict (order_id) where kind = 'expire' do nothing
        returning 1)
    select count(*) from asked
$$;

-- An order that no consumer has decided is rejected: expired. One that was decided, by another copy of its job, stays
-- as it is. A copy that comes later finds the order and changes nothing.
create or replace function checkout.run_expire(c checkout.commands) returns setof checkout.output
language plpgsql as $$
declare
    accepted timestamptz;
    moved integer;
begin
    if exists (select 1 from checkout.orders o where o.order_id = c.order_id)
       or exists (select 1 from checkout.purged_orders p where p.order_id = c.order_id) then
        return next checkout.command_end(c, 'done', 'nothing to do: it was decided');
        return;
    end if;
    begin
        accepted := least((c.argument ->> 'accepted_at')::timestamptz, clock_timestamp());
    exception when data_exception then      -- the stamp of a stranger: the order ends nevertheless
        accepted := null;
    end;
    select count(*) into moved
      from checkout.move_orders(c.shard, array[row(
          c.order_id, null, 'rejected', 'expired', null, null, null, c.argument ->> 'user', c.argument ->> 'sku',
          (c.argument ->> 'quantity')::integer, null, null, c.argument ->> 'fingerprint', c.argument ->> 'reference',
          null, null, c.argument ->> 'traceparent', accepted, null, null, null, null, null)::checkout.move]);
    return next checkout.output_of(checkout.transition_news('rejected', 'expired', moved));
    return next checkout.command_end(c, 'done', 'rejected: the broker dropped its job (' || (c.argument ->> 'cause') || ')');
end $$;

-- What doctor says: jobs that were dropped in the last p_hours, how many of them ended orders that way, and the causes.
create or replace function checkout.lost_jobs(p_hours integer)
returns table (jobs bigint, pending bigint, causes text)
language sql stable as $$
    select count(*), count(*) filter (where c.state = 'pending'),
           coalesce(string_agg(distinct c.argument ->> 'cause', ', '), '')
      from checkout.commands c
     where c.kind = 'expire' and c.created_at > now() - p_hours * interval '1 hour'
$$;
