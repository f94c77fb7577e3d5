-- The clocks by which waiting orders expire, and what stops them.

-- The clock of a shard's waitlists, which stands still while the shard is paused; and on it the clock of an
-- item, which stands still while the item is paused too. No order's waiting time passes meanwhile, and no
-- row of a waitlist has to be rewritten for that.
create or replace function checkout.shard_clock(s checkout.shards) returns timestamptz
language sql stable parallel safe
return coalesce(s.stopped_at, now()) - s.stopped_ms * interval '1 ms';

create or replace function checkout.item_clock(i checkout.items, s checkout.shards) returns timestamptz
language sql stable parallel safe
return coalesce(i.stopped_at, checkout.shard_clock(s)) - i.stopped_ms * interval '1 ms';

-- By how many ms the clock of an item is behind the database's; null while it stands still.
create or replace function checkout.clock_behind_ms(p_sku text) returns bigint
language sql stable as $$
    select i.stopped_ms + s.stopped_ms
      from checkout.items i
      join checkout.service v on true
      join checkout.shards s on s.shards = v.shards and s.shard = i.shard and s.stopped_at is null
     where i.sku = p_sku and i.stopped_at is null
$$;

-- Lets the clock of a shard go on, unless something stops it still. The caller holds the fence.
create or replace function checkout.run_clock(p_shards integer, p_shard integer) returns void
language sql as $$
    update checkout.shards
       set stopped_at = null,
           stopped_ms = stopped_ms + extract(epoch from now() - stopped_at) * 1000
     where shards = p_shards and shard = p_shard and stopped_at is not null
       and not paused and payments_stopped is null
$$;

-- Payments of a shard are stopped (p_why: the gateway refuses us, or fails), or go on (null). No
-- order's waiting time passes while they are stopped. Writes nothing if that is known.
create or replace function checkout.stop_payments(p_shards integer, p_shard integer, p_epoch bigint, p_why text)
returns void
language plpgsql as $$
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
