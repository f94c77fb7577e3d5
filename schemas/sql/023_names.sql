-- Names of the glossary, for columns that functions alone read and write. The functions of this release, and those
-- that the previous release calls, are applied in the same transaction.
alter table checkout.items rename column line_head to waitlist_head;
alter table checkout.consumers rename column beat to heartbeats;
alter table checkout.consumers rename column beat_at to heartbeat_at;
alter table checkout.returns rename column told to shop_event;  -- what the feed says of it, if anything

drop function if exists checkout.return_told(text, text, text, text, boolean);
