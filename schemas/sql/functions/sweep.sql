-- What the owner of a shard looks for, since its memory may have lost it.

-- Which of these shards have work that no memory may hold: commands ('command'), orders that waited
-- too long ('expired'), and lines that are not settled ('more', with the item).
create or replace function checkout.overdue(p_shards integer, p_shard_list integer[])
returns table (shard integer, kind text, sku text)
language plpgsql stable as $$
begin
    return query
    select s, 'command', null::text
      from unnest(p_shard_list) s
     where (select c.command_id from checkout.commands c where c.shard = s and c.state = 'pending'
             order by c.command_id limit 1) is not null
        or (select c.finished_at from checkout.commands c       -- or one that is to be forgotten
             where c.shard = s and c.kind = 'webhook' and c.finished_at is not null
             order by c.finished_at limit 1) < now() - checkout.webhook_memory();

    return query
    select e.shard, 'expired', e.sku from checkout.expired_waitlists(p_shards, p_shard_list) e;

    return query
    select i.shard, 'more', i.sku
      from checkout.items_with_waitlist(p_shard_list) i
      join checkout.shards s on s.shards = p_shards and s.shard = i.shard
     where (select l.quantity from checkout.waitlist l where l.shard = i.shard and l.sku = i.sku
             order by l.quantity desc, l.ticket desc limit 1) > i.stock - i.sold
        or (not i.paused and not s.paused
            and (select l.quantity from checkout.waitlist l where l.sku = i.sku and l.ticket >= i.waitlist_head
                  order by l.ticket limit 1)
                <= i.stock - i.sold - i.held);
end $$;
