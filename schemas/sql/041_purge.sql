-- What stays of orders that were purged (checkoutctl purge): their ids and ends, for ever, and the sums of their units.

-- A retry, a cancel, a job that comes again and the status call find the end here. No row names a customer: the id
-- itself proves whose it is.
create table checkout.purged_orders (
    order_id        uuid primary key,
    ended_at        timestamptz not null,
    captures        smallint not null,      -- so many intents of the gateway took money for it, refunded ones included
    status          text not null check (status in ('confirmed', 'rejected', 'cancelled', 'refunded')),
    reason          text
);

-- Of each item: its purged orders, and how many of their units stay sold.
create table checkout.purged_items (
    sku             text collate "C" primary key,
    orders          bigint not null,
    sold            bigint not null
);

-- Those of `units` that belong to purged orders.
alter table checkout.customer_units add column purged bigint not null default 0;

-- The newest event of each shard that was purged: above it, none is missing.
create table checkout.horizons (
    shard           integer primary key,
    event_id        bigint not null,
    purged_at       timestamptz not null default now()
) with (fillfactor = 50);
