-- Smaller indexes of what has ended. Each may have been built before, concurrently, under its name here (docs/upgrading.md):
-- then this only drops the old ones. They go first, so that a reader who is in the way is met before anything is built.
drop index if exists checkout.order_events_ends, checkout.payments_by_intent;

-- An end is looked for by its status and listed by its time, so each status has an index of the times alone.
create index if not exists order_events_confirmed on checkout.order_events (created_at) where status = 'confirmed';
create index if not exists order_events_rejected on checkout.order_events (created_at) where status = 'rejected';
create index if not exists order_events_cancelled on checkout.order_events (created_at) where status = 'cancelled';
create index if not exists order_events_refunded on checkout.order_events (created_at) where status = 'refunded';

-- An intent is only ever looked for whole.
create index if not exists payments_of_intents on checkout.payments using hash (intent_id) where intent_id is not null;
