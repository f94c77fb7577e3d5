-- What the team's shop keeps: items with a stock, orders with a state.
drop schema if exists peer cascade;
create schema peer;
create table peer.items (sku text primary key, stock integer not null check (stock >= 0));
create table peer.orders (
    order_id   uuid primary key,
    user_id    text not null,
    sku        text not null,
    quantity   integer not null,
    status     text not null,
    reference  text,
    created_at timestamptz not null default now()
);
