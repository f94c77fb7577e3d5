-- What a member lacks when it is not ready, in its own words; checkout.heartbeat() takes it as a further argument.
alter table checkout.consumers add column not_ready text;
drop function if exists checkout.heartbeat(bigint, boolean, integer[]);
