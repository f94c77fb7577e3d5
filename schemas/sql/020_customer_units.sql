-- The units of an item that a customer has: those of its waiting, reserved and confirmed orders. The limit of an
-- item reads one row here, however many orders the customer ever made. Written by checkout.move_orders alone, for
-- the orders that it moves. A row stays when it falls to 0.
create table checkout.customer_units (
    sku             text collate "C" not null,
    user_id         text collate "C" not null,
    units           bigint not null check (units >= 0),
    primary key (sku, user_id)
) with (fillfactor = 75);                   -- room for the updates to stay in the page (HOT)

-- Whoever writes orders holds its shard's row; so nothing moves between the sums and the commit of this.
select 1 from checkout.shards order by shards, shard for update;

insert into checkout.customer_units (sku, user_id, units)
select o.sku, o.user_id, sum(o.quantity) from checkout.orders o
 where o.status in ('waiting', 'reserved', 'confirmed') group by o.sku, o.user_id order by o.sku, o.user_id;
