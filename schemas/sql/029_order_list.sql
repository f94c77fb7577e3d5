-- Orders are listed by these (checkoutctl orders list). None has a column that changes, so an update of an order
-- touches no index.
create index orders_by_time on checkout.orders (created_at);
create index orders_by_item on checkout.orders (sku, created_at);
create index orders_by_reference on checkout.orders (reference, created_at) where reference is not null;

-- An order's end never leaves this table, so this index grows and nothing in it changes.
create index order_events_ends on checkout.order_events (status, created_at)
    where status in ('confirmed', 'rejected', 'cancelled', 'refunded');
