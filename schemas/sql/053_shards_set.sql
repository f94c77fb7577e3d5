-- A program that has CHECKOUT_SHARDS set does not follow when the number of shards changes, and says so with its heartbeat:
-- the two functions have one argument more.
alter table checkout.daemons add column shards_set integer;
alter table checkout.consumers add column shards_set integer;
drop function if exists checkout.daemon_heartbeat(text, text, text, integer, text, boolean, text, bigint, bigint, bigint);
drop function if exists checkout.join_pool(text, text, integer, text);
