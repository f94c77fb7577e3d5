-- Changing the number of shards while a sale runs (checkoutctl reshard): docs/resharding.md.

-- The largest number that ever was in service. Events keep the shard under which they were written, so readers of all
-- events have a position for each of so many.
alter table checkout.service add column streams integer;
update checkout.service set streams = shards;

-- One row for each change. At most one is under way.
--   begun    nothing has changed yet: the new exchange and its queues are declared, without bindings
--   closed   the old exchange is to have no bindings: no order is taken
--   moved    the new number is in service; what the old queues still hold is forwarded
--   open     the new exchange is to have bindings
--   done     the old queues and their exchange are gone
--   undoing, undone   instead of moved: the old exchange is to have its bindings again, and has them
create table checkout.reshards (
    reshard_id      bigint generated always as identity primary key,
    from_shards     integer not null,
    to_shards       integer not null check (to_shards <> from_shards),
    state           text not null default 'begun'
                    check (state in ('begun', 'closed', 'moved', 'open', 'done', 'undoing', 'undone')),
    requested_by    text not null,
    cut_event       bigint,                 -- all events under the old number have ids below it, all later ones above
    begun_at        timestamptz not null default now(),
    closed_at       timestamptz,
    moved_at        timestamptz,
    opened_at       timestamptz,
    ended_at        timestamptz
);
create unique index reshards_under_way on checkout.reshards ((true)) where state not in ('done', 'undone');

-- The new shard of each item (and of others whose jobs are set aside), computed before anything stops.
create table checkout.reshard_homes (
    sku             text collate "C" primary key,
    shard           integer not null
);
