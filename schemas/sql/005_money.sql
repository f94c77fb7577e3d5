-- Money: what becomes of payments beside their settlement (checkout.settle).

-- Lets the clock of a shard go on, unless something stops it still. The caller holds the fence.
create function checkout.run_clock(p_shards integer, p_shard integer) returns void
language sql as $$
    update checkout.shards
       set stopped_at = null,
           stopped_ms = stopped_ms + extract(epoch from now() - stopped_at) * 1000
     where shards = p_shards and shard = p_shard and stopped_at is not null
       and not paused and payments_stopped is null
$$;

-- Payments of a shard are stopped (p_why: the gateway refuses us, or fails), or go on (null). Nobody's
-- waiting time passes while they are stopped. Writes nothing if that is known.
create function checkout.stop_payments(p_shards integer, p_shard integer, p_epoch bigint, p_why text)
returns void
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    update checkout.shards
       set payments_stopped = p_why,
           stopped_at = case when p_why is null then stopped_at else coalesce(stopped_at, now()) end
     where shards = p_shards and shard = p_shard and payments_stopped is distinct from p_why;
    if found and p_why is null then
        perform checkout.run_clock(p_shards, p_shard);
    end if;
end $$;
