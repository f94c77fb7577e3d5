-- Mails to buyers: whom and in which language (of an order), and one row for each mail that is to be sent.

alter table checkout.orders
    add column mail_to text,                -- the address that gets mails about it; null: no mails
    add column locale text;                 -- the language of its buyer, as BCP 47 writes it
alter table checkout.jobs_aside
    add column mail_to text,
    add column locale text;
alter type checkout.move add attribute mail_to text, add attribute locale text;

-- Their arguments change.
drop function if exists
    checkout.decide_jobs(integer, integer, bigint, bigint, uuid[], text[], text[], integer[], text[], text[], bigint[],
                         text[], timestamptz[], text[], text[], text[], text[], text[]),
    checkout.judge_jobs(integer, integer, bigint, text[], uuid[], text[], text[], integer[], text[], text[], bigint[],
                        text[], timestamptz[], text[], text[], text[], text[], text[]),
    checkout.decide_now(integer, integer, bigint, text[], uuid[], text[], text[], integer[], text[], text[], bigint[],
                        text[], timestamptz[], text[], text[], text[], text[], text[]),
    checkout.put_aside(integer, text[], text, uuid[], text[], text[], integer[], text[], text[], bigint[], text[],
                       timestamptz[], text[], text[], text[], text[], text[]),
    checkout.set_jobs_aside(integer, integer, bigint, text, uuid[], text[], text[], integer[], text[], text[], bigint[],
                            text[], timestamptz[], text[], text[], text[], text[], text[]);

-- What buyers get mails about.
create table checkout.mail_settings (
    only_row        boolean primary key default true check (only_row),
    kinds           text[] not null default '{confirmed,refunded,action}'
                    check (kinds <@ '{confirmed,refunded,action,rejected,waiting}')
);
insert into checkout.mail_settings default values;

-- checkout.move_orders writes each row, with the state that it tells; checkout-mailer takes it from there.
create table checkout.mails (
    mail_id         bigint generated always as identity primary key,
    order_id        uuid not null,
    kind            text not null check (kind in ('confirmed', 'refunded', 'action', 'rejected', 'waiting')),
    state           text not null default 'due' check (state in ('due', 'sent', 'failed', 'dropped')),
    due_at          timestamptz not null default now(),     -- while it is claimed: when the claim ends
    claimed_by      text,                   -- the mailer that tries it now
    attempts        integer not null default 0,
    problem         text,                   -- of the last attempt, or why it was dropped
    since           timestamptz not null default now(),     -- tried from then on: again after an operator's retry
    created_at      timestamptz not null default now(),
    ended_at        timestamptz,
    unique (order_id, kind)
) with (fillfactor = 70);
create index mails_due on checkout.mails (due_at) where state = 'due';
create index mails_claimed on checkout.mails (mail_id) where state = 'due' and claimed_by is not null;
create index mails_ended on checkout.mails (ended_at) where state in ('failed', 'dropped');

-- How many mails an address was sent in each hour of the last two. The address is a digest.
create table checkout.mail_counts (
    hour            timestamptz not null,
    address         bytea not null,
    mails           integer not null,
    primary key (hour, address)
);
