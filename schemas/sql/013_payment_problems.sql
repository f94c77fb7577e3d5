-- What a buyer can do about a payment that failed; who ends an open payment, and when a refund is tried again.

alter table checkout.orders
    add column payment_problem text check (payment_problem in ('use_another_method', 'amount', 'currency', 'try_again')),
    add column payment_param text;      -- the field of the gateway's request that was refused

alter table checkout.payments
    drop constraint payments_resolution_check,
    add constraint payments_resolution_check
        check (resolution in ('cancel', 'captured', 'not-captured', 'release'));     -- cancel: the buyer's, at the bank

alter table checkout.refunds
    add column try_at timestamptz;      -- the gateway does not give it back now: not before this time; null: at once

-- A charge tells its buyer, what is known of its intent, and how old its order's first attempt is.
alter type checkout.task add attribute customer text, add attribute order_age_ms bigint;
drop function if exists
    checkout.charge_task(uuid, integer, bigint, text, text, text, text, bigint, text),
    checkout.settle_payments(integer, integer, bigint, uuid[], integer[], text[], text[], text[]);

-- The mover writes both into the order.
alter type checkout.move add attribute payment_problem text, add attribute payment_param text;
drop function if exists checkout.move_of(uuid, text, text, text);
