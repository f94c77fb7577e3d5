-- Money that goes back, or is disputed, at the gateway and not by us.

-- What the gateway has shown of refunds and disputes of our payments: a row for each change, in the order in which
-- they were seen. Ids are those of events, so that the shop's feed has both in one order. Append-only.
create table checkout.returns (
    event_id        bigint not null default nextval('checkout.event_ids'),
    shard           integer not null,
    order_id        uuid not null,
    attempt         integer not null,       -- of the payment
    intent_id       text not null,          -- the gateway's, of the payment
    kind            text not null check (kind in ('refund', 'dispute')),
    gateway_id      text not null,          -- of the refund, or the dispute
    amount          bigint not null,
    currency        text not null,
    status          text not null,          -- the gateway's word
    reason          text,                   -- likewise
    ours            boolean not null,       -- a refund that we made
    told            text check (told in ('partly_refunded', 'refund_failed', 'disputed', 'dispute_won',
                                         'dispute_lost', 'dispute_closed')),    -- in the feed; null: not there
    created_at      timestamptz not null default now(),
    primary key (shard, event_id)
);
create index returns_of_payments on checkout.returns (intent_id, gateway_id, event_id);
create index returns_of_orders on checkout.returns (order_id, event_id);
create index returns_failed on checkout.returns (intent_id) where kind = 'refund' and status in ('failed', 'canceled');

-- Payments that the owner is to look at for that: a row until it has done so.
create table checkout.return_looks (
    intent_id       text primary key,
    shard           integer not null,
    order_id        uuid not null,
    attempt         integer not null,
    hints           bigint not null default 1,      -- so that one that comes during a look has another
    since           timestamptz not null default now(),
    look_at         timestamptz not null default now(),
    looks           integer not null default 0      -- that found nothing new, since the newest hint
) with (fillfactor = 50);
create index return_looks_due on checkout.return_looks (shard, look_at);

-- A hint of the gateway names the payment.
create index payments_by_intent on checkout.payments (intent_id) where intent_id is not null;

-- Webhooks are forgotten some days after they were executed.
create index commands_of_webhooks on checkout.commands (shard, finished_at)
    where kind = 'webhook' and finished_at is not null;
