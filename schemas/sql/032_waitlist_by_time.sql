-- Waiting orders are listed by the time since when they wait (checkoutctl orders list --status waiting). No row of a
-- waitlist is ever updated.
alter table checkout.waitlist add column created_at timestamptz not null default now();
update checkout.waitlist w set created_at = o.created_at from checkout.orders o where o.order_id = w.order_id;
create index waitlist_by_time on checkout.waitlist (created_at);

-- Orders that have waited too long are found by their shard and when they are due, on the shard's clock.
create index waitlist_by_expiry on checkout.waitlist (shard, expires_at);

-- These functions have other parameters now.
drop function if exists checkout.expire_waiting(integer, integer, bigint, integer, integer);
drop function if exists checkout.overdue(integer, integer[]);
