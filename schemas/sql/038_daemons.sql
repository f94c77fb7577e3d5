-- Heartbeats of the producers and notifiers (consumers have their own table, by which they judge each other). For people
-- and alarms only: nothing is decided by them.
create table checkout.daemons (
    program         text not null check (program in ('producer', 'notifier')),
    host            text not null,
    place           text not null,          -- its admin address, which no other process of the host has
    pid             integer not null,
    version         text not null,
    ready           boolean not null,
    not_ready       text,                   -- what it lacks, for people
    accepted        bigint,                 -- orders answered 202 since its start
    accepted_per_s  real,
    sockets         bigint,                 -- open now
    started_at      timestamptz not null default now(),
    heartbeat_at    timestamptz not null default now(),
    primary key (program, host, place)
) with (fillfactor = 50);

-- Charges that asking the gateway has not cleared up, as refunds_unclear has it of refunds.
create index payments_unclear on checkout.payments (unclear_since) where state = 'open' and unclear_since is not null;
