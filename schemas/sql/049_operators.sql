-- An operator says by the console, too, what became of a payment that is unclear, and wants dead letters replayed. Their
-- jobs are commands of the kind readmit. No row that is there is looked at: each has one of the kinds of before.
alter table checkout.requests
    drop constraint requests_kind_check,
    add constraint requests_kind_check
        check (kind in ('create', 'set', 'restock', 'pause', 'resume', 'refund', 'cancel', 'resolve', 'replay')) not valid;

-- What people asked for, newest first: the operators' page shows the last of it. Of buyers and of the gateway there is
-- nothing in it, so it stays small. It may have been built before, concurrently, under its name here (docs/upgrading.md).
create index if not exists commands_of_people on checkout.commands (command_id)
    where user_id is null and kind <> 'webhook' and kind <> 'expire' and kind <> 'readmit';

-- How the sale went, each 10 s of the last hour: what the operators' page draws. checkout.keep_moment writes it, and takes
-- away what is older.
create table checkout.moments (
    slot            bigint primary key,     -- tens of seconds since 1970
    point           json not null           -- of checkout.overview()
);

-- A producer counts dead letters, and says so in its heartbeat: for the page, which does not reach RabbitMQ. The function
-- has one argument more.
alter table checkout.daemons add column dead_letters bigint;
drop function if exists checkout.daemon_heartbeat(text, text, text, integer, text, boolean, text, bigint, bigint);

-- An item that has a waitlist, how many wait, and since when the first of them does. These functions take an array of them.
create type checkout.item_line as (sku text, shard integer, waiting integer, since timestamptz);
drop function if exists checkout.lines_now(), checkout.sales_now(), checkout.show_shards(), checkout.show_busy_items(integer);

-- Replays of dead letters that are wanted.
alter table checkout.commands
    drop constraint known_kind,
    add constraint known_kind
        check (kind in ('cancel', 'restock', 'set', 'pause', 'resume', 'resolve', 'refund', 'webhook', 'expire', 'replay', 'readmit'))
        not valid;
create index if not exists commands_replay on checkout.commands (command_id) where kind = 'replay' and state = 'pending';
