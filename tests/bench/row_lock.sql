-- One order with the item's row locked from the look to the commit; `items` is set on the command line.
\set item random(1, :items)
\set buyer random(1, 1000000)
begin;
select stock as available from row_lock.items where item = :item for update \gset
\if :available > 0
update row_lock.items set stock = stock - 1 where item = :item;
insert into row_lock.orders (user_id, item, quantity, status) values (:buyer, :item, 1, 'confirmed');
\else
insert into row_lock.orders (user_id, item, quantity, status) values (:buyer, :item, 1, 'rejected');
\endif
commit;
