-- Jobs that cannot be decided yet, because something holds their item up, are set aside: taken from the queue, in
-- their order, so that the jobs of other items go on. While an item has such jobs, its later ones join behind them.
-- Written by the owner of the shard alone, under the fence.

-- One row for each item that has jobs here, and no others.
create table checkout.items_aside (
    shard           integer not null,
    sku             text collate "C" not null,
    why             text not null,          -- for people
    since           timestamptz not null default now(),
    tries           integer not null default 0,
    try_at          timestamptz not null default now(),
    primary key (shard, sku)
) with (fillfactor = 50);

create table checkout.jobs_aside (
    place           bigint generated always as identity primary key,    -- the order in which they came
    shard           integer not null,
    sku             text collate "C" not null,
    order_id        uuid not null unique,
    user_id         text collate "C",
    quantity        integer,
    payment_method  text,
    receipt_email   text,
    unit_price      bigint,
    reference       text,
    accepted_at     timestamptz,
    fingerprint     text,
    traceparent     text,
    flaw            text,                   -- why the job is invalid; null: it is not
    gateway_customer text,
    set_aside_at    timestamptz not null default now()
);
create index jobs_aside_by_item on checkout.jobs_aside (shard, sku, place);
