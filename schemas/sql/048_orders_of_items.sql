-- A smaller index of each item's orders: hashes instead of names, and spans of four seconds instead of times, so that
-- the orders of a busy span share an entry. Lists read whole spans, newest first, and sort each. Like those of
-- 047_smaller_indexes.sql it may have been built before, concurrently.
drop index if exists checkout.orders_by_item;
create index if not exists orders_of_items on checkout.orders
    (hashtext(sku), ((extract(epoch from created_at at time zone 'UTC') / 4)::integer));
