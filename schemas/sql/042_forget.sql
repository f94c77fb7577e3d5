-- Customers who were forgotten (checkoutctl forget).

-- What limits still count of them: of items with a limit the units that they had, by a digest of their name. Without
-- the name, and the salt, nothing leads from here to a person, and nothing from here to an order.
create table checkout.forgotten_units (
    sku             text collate "C" not null,
    buyer           bytea not null,         -- checkout.buyer_digest
    units           bigint not null,
    primary key (sku, buyer)
);

create table checkout.forget_salt (
    only_row        boolean primary key default true check (only_row),
    salt            uuid not null default gen_random_uuid()
);
insert into checkout.forget_salt default values;

-- Who forgot somebody, and when. No name of a customer, nor the name that replaced it.
create table checkout.forgets (
    forget_id       bigint generated always as identity primary key,
    requested_by    text not null,
    begun_at        timestamptz not null default now(),
    finished_at     timestamptz,            -- null: it was interrupted; a repeat has a row of its own
    orders          bigint not null default 0
);
