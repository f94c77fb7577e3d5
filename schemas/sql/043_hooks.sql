-- Webhooks to the shop's backend: its endpoints, and one row for each event that an endpoint is to be sent.

create table checkout.hook_endpoints (
    endpoint        text primary key check (endpoint ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    url             text not null,
    types           text[],                 -- what it is sent; null: everything
    positions       bigint[],               -- of each shard, the newest event that has its row, or that it is not sent
    paused          text,                   -- why nothing is sent; null: it is
    failures        integer not null default 0,         -- attempts in a row that failed
    failing_since   timestamptz,
    try_at          timestamptz not null default now(), -- while it fails: not before
    created_at      timestamptz not null default now()
) with (fillfactor = 50);

-- A delivery. Those of one order leave one after the other.
create table checkout.hook_deliveries (
    delivery_id     bigint generated always as identity primary key,
    endpoint        text not null references checkout.hook_endpoints on delete cascade,
    event_id        bigint,                 -- null: a test
    shard           integer,
    order_id        uuid,
    sequence        integer,                -- null: it changed no state of the order (checkout.returns)
    type            text not null,
    reason          text,
    amount          bigint,
    at              timestamptz not null,   -- of the event
    state           text not null default 'due' check (state in ('due', 'sent', 'failed')),
    due_at          timestamptz not null default now(),     -- while it is claimed: when the claim ends
    claimed_by      text,
    attempts        integer not null default 0,
    tries           integer not null default 0,         -- those since it was first due, or due again
    since           timestamptz not null default now(),
    status          integer,                -- HTTP's, of the last attempt; null: there was no answer
    problem         text,
    duration_ms     integer,
    answer          text,                   -- its first bytes
    ended_at        timestamptz,
    unique (endpoint, event_id)
) with (fillfactor = 70);
create index hook_deliveries_due on checkout.hook_deliveries (endpoint, due_at) where state = 'due';
create index hook_deliveries_of_orders on checkout.hook_deliveries (order_id, event_id);
create index hook_deliveries_claimed on checkout.hook_deliveries (endpoint) where state = 'due' and claimed_by is not null;
create index hook_deliveries_ended on checkout.hook_deliveries (endpoint, ended_at) where state <> 'due';
