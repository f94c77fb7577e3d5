-- What the shop's own programs and people asked checkout-console to change: who, when, what, why. A row is written in the
-- transaction of its command (or of the item that it makes), so that a repeat of the request has no second effect.
create table checkout.requests (
    request_id      bigint generated always as identity primary key,
    requested_by    text collate "C" not null,      -- sub of the token
    key             text collate "C" not null,      -- Idempotency-Key
    kind            text not null check (kind in ('create', 'set', 'restock', 'pause', 'resume', 'refund', 'cancel')),
    sku             text collate "C",
    shard           integer,                        -- of pause and resume of a whole shard
    order_id        uuid,
    wish            jsonb not null,                 -- what was asked for, as it was asked
    note            text,                           -- why, for the record
    command_id      bigint,                         -- what executes it; null: it is done (create)
    created_at      timestamptz not null default now(),
    unique (requested_by, key)
);
create index requests_of_commands on checkout.requests (command_id);
create index requests_of_orders on checkout.requests (order_id) where order_id is not null;
