-- Whether this database is the newest: the milestones that consumers keep in RabbitMQ are compared with it each time that the
-- server, or the database in it, is another one than before (schemas/sql/functions/milestones.sql).
create table checkout.database_check (
    only_row        boolean primary key default true check (only_row),
    generation      bigint not null default 0,      -- counts the restores that were finished
    identity        text,                           -- what was compared last (checkout.database_identity); null: nothing
    refused         text,                           -- why programs serve nothing from it; null: they do
    compared_at     timestamptz,
    compared_by     text,
    reserved_to     bigint                          -- no event with a higher id is published; null: no milestone is kept
);
insert into checkout.database_check default values;
