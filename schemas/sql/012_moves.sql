-- Orders change their state in one place, checkout.move_orders, which alone writes checkout.orders and
-- checkout.order_events. What it is given:
--   order_id, from_status, status, reason   the order's state is this one, and becomes that one
-- and of a new order (from_status null) all that is known of it; a waiting one has its ticket, its place in
-- line and how long it may wait, on the clock of its item.
create type checkout.move as (
    order_id uuid, from_status text, status text, reason text, ticket bigint, place bigint,
    expires_at timestamptz, user_id text, sku text, quantity integer, amount bigint, currency text,
    fingerprint text, reference text, receipt_email text, payment_method text, traceparent text,
    accepted_at timestamptz
);

-- The waiting lines have the name of the field.
alter table checkout.line rename to waitlist;
alter index checkout.line_pkey rename to waitlist_pkey;
alter index checkout.line_by_quantity rename to waitlist_by_quantity;

-- Its successor is checkout.leave_waitlist. Whoever runs it meanwhile finds none, and tries again.
drop function if exists checkout.leave_line(text, bigint[], text, text);
