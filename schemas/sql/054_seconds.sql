-- Smaller indexes of orders and their ends. Like those of 047_smaller_indexes.sql they may have been built before, concurrently
-- (docs/upgrading.md); the old ones go first here, too.
drop index if exists checkout.orders_by_time, checkout.order_events_confirmed, checkout.order_events_rejected,
    checkout.order_events_cancelled, checkout.order_events_refunded;

-- Seconds instead of times, so that what was decided or ended within a second shares an entry. Lists read whole seconds, newest
-- first, and sort each.
create index if not exists orders_by_second on checkout.orders
    ((extract(epoch from created_at at time zone 'UTC')::bigint));
create index if not exists confirmed_by_second on checkout.order_events
    ((extract(epoch from created_at at time zone 'UTC')::bigint)) where status = 'confirmed';
create index if not exists rejected_by_second on checkout.order_events
    ((extract(epoch from created_at at time zone 'UTC')::bigint)) where status = 'rejected';
create index if not exists cancelled_by_second on checkout.order_events
    ((extract(epoch from created_at at time zone 'UTC')::bigint)) where status = 'cancelled';
create index if not exists refunded_by_second on checkout.order_events
    ((extract(epoch from created_at at time zone 'UTC')::bigint)) where status = 'refunded';

-- The hash of a customer's name, which their orders share. Whoever wants the newest sorts them. The index of names stays while the
-- previous release needs it (checkout.drop_previous_indexes).
create index if not exists orders_of_users on checkout.orders (hashtext(user_id));
