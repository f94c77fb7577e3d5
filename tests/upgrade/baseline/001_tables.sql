-- Tables of Checkout. Amounts are integers in minor units; times are the database's.
--
-- Order of locking, everywhere: shards, then items by sku, then orders, then the rest. A shard's row
-- excludes every other writer of the shard's items and orders, so nothing below it can deadlock.

create schema if not exists checkout;

-- The number of shards in service, and the fingerprint of the secret that order ids are made with.
create table checkout.service (
    only_row            boolean primary key default true check (only_row),
    shards              integer not null check (shards between 1 and 1024 and (shards & (shards - 1)) = 0),
    secret_fingerprint  text,
    since               timestamptz not null default now()
);

create table checkout.items (
    sku             text collate "C" primary key check (sku ~ '^[A-Za-z0-9._-]{1,64}$'),
    shard           integer not null check (shard between 0 and 1023),
    title           text not null check (char_length(title) between 1 and 200),
    price           bigint not null check (price between 1 and 99999999999),
    currency        text not null check (currency ~ '^[a-z]{3}$'),
    stock           integer not null check (stock >= 0),
    held            integer not null default 0 check (held >= 0),
    sold            integer not null default 0 check (sold >= 0),
    limit_per_user  integer check (limit_per_user > 0),
    opens_at        timestamptz,
    closes_at       timestamptz,
    gate            text not null default 'soldout' check (gate in ('none', 'soldout', 'lock')),
    paused          boolean not null default false,
    -- the item's own clock, by which its line expires (checkout.item_clock): when it was stopped, on the
    -- clock of its shard (null: it runs), and how long it stood still before
    stopped_at      timestamptz,
    stopped_ms      bigint not null default 0,
    -- the line: nobody in it has a lower ticket than line_head (so that its head is found without walking
    -- over what left the line before), the ticket that the next waiting order draws, and how many wait now
    line_head       bigint not null default 1,
    next_ticket     bigint not null default 1,
    waiting         integer not null default 0 check (waiting >= 0),
    created_at      timestamptz not null default now(),
    constraint never_oversold check (held + sold <= stock)
) with (fillfactor = 50);
create index items_locked on checkout.items (shard) where gate = 'lock';

-- One row for each order that reached the counter.
create table checkout.orders (
    order_id        uuid primary key,
    user_id         text collate "C" not null,
    sku             text collate "C" not null,
    shard           integer not null,
    quantity        integer not null,
    status          text not null check (status in
                        ('waiting', 'reserved', 'confirmed', 'rejected', 'cancelled', 'refunded')),
    reason          text check (reason in ('sold_out', 'payment_declined', 'payment_failed',
                        'limit_exceeded', 'unknown_item', 'not_on_sale', 'price_changed', 'expired',
                        'invalid')),
    amount          bigint,                 -- null if no price could be fixed
    currency        text,
    fingerprint     text not null,
    reference       text,
    receipt_email   text,
    payment_method  text,                   -- forgotten when the order ends
    traceparent     text,
    ticket          bigint,                 -- its place in checkout.line while it waits
    sequence        integer not null,       -- of its newest event
    accepted_at     timestamptz not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint a_reason_only_if_rejected check ((reason is not null) = (status = 'rejected'))
) with (fillfactor = 75);                   -- room for the updates to stay in the page (HOT)

create index orders_by_user on checkout.orders (user_id, created_at);

-- The waiting lines: one row while an order waits. A table of its own keeps the lines dense, and the
-- updates of orders free of index changes.
create table checkout.line (
    sku             text collate "C" not null,
    ticket          bigint not null,        -- the order in which they came
    order_id        uuid not null,
    shard           integer not null,
    quantity        integer not null,
    expires_at      timestamptz not null,   -- on the item's clock; never falls along the line
    primary key (sku, ticket)
);
create index line_by_quantity on checkout.line (shard, sku, quantity, ticket);

-- Append-only history of every change of state, and the outbox. Ids of one shard are in commit order.
create sequence checkout.event_ids as bigint cache 1;
create table checkout.order_events (
    event_id        bigint not null default nextval('checkout.event_ids'),
    shard           integer not null,
    order_id        uuid not null,
    sequence        integer not null,       -- counts up within the order
    status          text not null,
    reason          text,
    place_in_line   bigint,
    created_at      timestamptz not null default now(),
    -- who wrote it: checkout.fence() names the epoch, and an epoch belongs to one session (take_overs)
    epoch           bigint default nullif(current_setting('checkout.epoch', true), '')::bigint,
    backend         integer default pg_backend_pid(),
    primary key (order_id, sequence)
);
create unique index order_events_by_shard on checkout.order_events (shard, event_id);

-- A payment attempt. The row is the durable intent: it is committed before the gateway is called.
create table checkout.payments (
    order_id        uuid not null,
    attempt         integer not null default 1,
    shard           integer not null,
    state           text not null check (state in ('open', 'captured', 'declined', 'failed')),
    amount          bigint not null,
    currency        text not null,
    idempotency_key text not null,          -- order id + attempt
    intent_id       text,                   -- the gateway's
    code            text,                   -- the gateway's newest answer, for people
    resolution      text check (resolution in ('captured', 'not-captured')),    -- what an operator says
    unclear_since   timestamptz,            -- since when it is known that its end is hard to find out
    look_at         timestamptz,            -- when to look next whether it took money after all (see 008)
    looks           integer not null default 0,     -- how often that was done
    action          jsonb,                  -- what its buyer is to do at the bank; forgotten when it ends (009)
    action_until    timestamptz,            -- how long its unit is held for that
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    primary key (order_id, attempt)
);
create index payments_open on checkout.payments (shard, created_at) where state = 'open';

create index payments_to_look_at on checkout.payments (shard, look_at) where look_at is not null;

-- Money that goes back. A row is the durable intent, committed before the gateway is called, as that of a
-- payment is.
create table checkout.refunds (
    order_id        uuid not null,
    attempt         integer not null,       -- of the payment that is given back
    shard           integer not null,
    state           text not null check (state in ('open', 'succeeded', 'failed')),
    amount          bigint not null,
    currency        text not null,
    intent_id       text not null unique,   -- the gateway's, of the payment
    idempotency_key text not null,          -- order id + attempt + "refund" (+ number of the try, from 2 on)
    tries           integer not null default 1,
    key_since       timestamptz not null default now(),
    refund_id       text,                   -- the gateway's
    reason          text not null check (reason in ('requested', 'late_success')),
    restock         boolean not null default false,
    note            text,                   -- an operator's
    code            text,                   -- the gateway's newest answer, for people
    unclear_since   timestamptz,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    primary key (order_id, attempt)
);
create index refunds_open on checkout.refunds (shard, created_at) where state = 'open';
create index refunds_failed on checkout.refunds (reason) where state = 'failed';
create index refunds_unclear on checkout.refunds (unclear_since) where state = 'open' and unclear_since is not null;

-- The fence: every writing transaction of a shard starts by locking its row and comparing the epoch.
create table checkout.shards (
    shards          integer not null,       -- N: another N is another topology
    shard           integer not null,
    epoch           bigint not null default 0,
    owner           bigint,                 -- consumers.member_id; null: released
    taken_at        timestamptz,
    paused          boolean not null default false,
    payments_stopped text,                  -- why only probes are sent to the gateway; null: payments go on
    stopped_at      timestamptz,            -- as of items, for all lines of the shard
    stopped_ms      bigint not null default 0,
    primary key (shards, shard)
) with (fillfactor = 50);

-- Which member served a shard under which epoch, and through which session. Append-only.
create table checkout.take_overs (
    take_over_id    bigint generated always as identity primary key,
    shards          integer not null,
    shard           integer not null,
    epoch           bigint not null,
    member          bigint not null,        -- consumers.member_id
    name            text,                   -- and its name: the member may be gone
    backend         integer not null default pg_backend_pid(),
    taken_at        timestamptz not null default clock_timestamp(),
    released_at     timestamptz             -- null: taken from it, or still served
);
create index take_overs_by_epoch on checkout.take_overs (shards, shard, epoch);

-- How far the events of a shard are relayed to Redis. Apart from shards, so that it never waits there.
create table checkout.relays (
    shard           integer primary key,
    relayed_to      bigint not null default 0
) with (fillfactor = 50);

-- When the marks were advanced, so that it can be told when an event was relayed. Never more rows than
-- events, at most four a second of a shard, and of the newest 30 days.
create table checkout.relay_log (
    shard           integer not null,
    relayed_to      bigint not null,
    saved_at        timestamptz not null default now(),
    primary key (shard, relayed_to)
);

-- The pool's members. Judged by the change of `beat`, never by a clock.
create table checkout.consumers (
    member_id       bigint generated always as identity primary key,
    name            text not null,
    host            text not null,
    pid             integer not null,
    version         text not null,
    beat            bigint not null default 0,
    ready           boolean not null default false,
    backend_pids    integer[] not null default '{}',
    started_at      timestamptz not null default now(),
    beat_at         timestamptz not null default now()
) with (fillfactor = 50);
