-- How the gateway's webhooks fare, for people: one row, written by the producers now and then.
create table checkout.webhook_counts (
    only_row        boolean primary key default true check (only_row),
    taken           bigint not null default 0,
    taken_at        timestamptz,            -- the newest
    refused         bigint not null default 0,
    refused_at      timestamptz,
    refused_why     text                    -- the newest: signature, time, unreadable, other_mode
);
