-- A job that the broker dropped before it was decided ends by a command to the owner of its shard (kind expire), once
-- for each order.
alter table checkout.commands
    drop constraint known_kind,
    add constraint known_kind
        check (kind in ('cancel', 'restock', 'set', 'pause', 'resume', 'resolve', 'refund', 'webhook', 'expire'));

create unique index commands_expire on checkout.commands (order_id) where kind = 'expire';
create index commands_of_lost_jobs on checkout.commands (created_at) where kind = 'expire';    -- for doctor
