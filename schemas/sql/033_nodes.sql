-- The RabbitMQ node that a member is connected to, as host:port; checkout.heartbeat() takes it as a further argument,
-- and checkout.list_members() shows it.
alter table checkout.consumers add column node text;
drop function if exists checkout.heartbeat(bigint, boolean, integer[], text);
drop function if exists checkout.list_members();
