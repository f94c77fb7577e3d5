-- Events are read in their order from one on, so their index has spans of 128 ids: the events of a shard in one share an entry.
-- Whoever reads them begins with the whole span of the event that is known, and sorts each span. That no id is given twice is
-- the sequence's; `checkoutctl audit` looks. The index may have been built before, concurrently.
drop index if exists checkout.order_events_by_shard;
create index if not exists order_events_by_span on checkout.order_events (shard, (event_id >> 7));

-- The same for intents of the gateway: entries of hashes in their order are smaller than those of an index of hashes.
drop index if exists checkout.payments_of_intents;
create index if not exists payments_of_intent_hashes on checkout.payments (hashtext(intent_id)) where intent_id is not null;
