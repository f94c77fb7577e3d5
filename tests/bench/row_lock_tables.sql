-- What a shop without a queue keeps: items with a stock, orders with a state.
drop schema if exists row_lock cascade;
create schema row_lock;
create table row_lock.items (item integer primary key, stock integer not null check (stock >= 0));
create table row_lock.orders (
    order_id    uuid primary key default gen_random_uuid(),
    user_id     integer not null,
    item        integer not null,
    quantity    integer not null,
    status      text not null,
    created_at  timestamptz not null default now()
);
