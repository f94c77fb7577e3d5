-- A shop without a queue: items with a count, one row for each unit for those who take units, and orders.
drop schema if exists rival cascade;
create schema rival;
create table rival.items (item integer primary key, quantity integer not null);
create table rival.units (
    item    integer not null,
    unit    integer not null,
    state   text not null default 'free',
    order_id integer,
    primary key (item, unit)
);
create index units_free on rival.units (item, unit) where state = 'free';
create table rival.orders (
    order_id   integer primary key,
    item       integer not null,
    status     text not null,
    created_at timestamptz not null default clock_timestamp()
);
