-- What the owner of a shard looks for, since its memory may have lost it.

-- Which of these shards have work that no memory may hold: commands ('command'), items with orders that waited too
-- long ('expired'), and waitlists that are not settled ('more', with the item). Of the items with a waitlist those that
-- are due are found at once; the others are looked at in pages of p_limit, each behind the item where the last one
-- ended ('page', with the item; no such row: it was the last page).
create or replace function checkout.overdue(p_shards integer, p_shard_list integer[], p_after_shard integer default -1,
                                            p_after text default '', p_limit integer default 2147483647)
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
    with page as materialized (
        select * from checkout.page_of_waitlists(p_shard_list, p_after_shard, p_after, p_limit)),
    item as materialized (
        select i.shard, i.sku, checkout.item_clock(i, s) as clock, i.stock - i.sold as servable,
               case when i.paused or s.paused then 0 else i.stock - i.sold - i.held end as free,
               (select l.quantity from checkout.waitlist l where l.shard = i.shard and l.sku = i.sku
                 order by l.quantity desc, l.ticket desc limit 1) as largest,
               h.quantity, h.expires_at
          from page p
          cross join lateral (select * from checkout.items where items.sku = p.sku limit 1) i
          cross join lateral (select * from checkout.shards t where t.shards = p_shards and t.shard = i.shard limit 1) s
          left join lateral (select l.quantity, l.expires_at from checkout.waitlist l
                              where l.sku = i.sku and l.ticket >= i.waitlist_head order by l.ticket limit 1) h on true
         where p.shard = any (p_shard_list))
    select t.shard, 'expired', t.sku from item t where t.expires_at <= t.clock
    union all
    select t.shard, 'more', t.sku from item t where t.largest > t.servable or t.quantity <= t.free
    union all
    select p.shard, 'page', p.sku from page p where p.step = p_limit;
end $$;
