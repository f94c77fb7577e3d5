-- An order's events are found by the hash of its id. That none is there twice follows from the order's own row:
-- checkout.move_orders, which alone writes events, counts `sequence` in the statement that makes or changes the row, and the key of
-- that row is unique. `checkoutctl audit` finds what should be there twice all the same. So their key goes when the previous
-- release does not need it any more (checkout.drop_previous_indexes). The index may have been built before, concurrently.
create index if not exists order_events_of_orders on checkout.order_events (uuid_hash(order_id));
