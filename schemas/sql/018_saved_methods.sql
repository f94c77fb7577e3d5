-- Payment methods that are saved at the gateway: whose they are, as the buyer's token says.

alter table checkout.orders
    add column gateway_customer text;       -- the gateway's id of its buyer; forgotten when the order ends

alter type checkout.move add attribute gateway_customer text;
alter type checkout.task add attribute gateway_customer text;

-- Their arguments change.
drop function if exists
    checkout.decide_jobs(integer, integer, bigint, bigint, uuid[], text[], text[], integer[], text[], text[], bigint[],
                         text[], timestamptz[], text[], text[], text[]),
    checkout.charge_task(uuid, integer, bigint, text, text, text, text, bigint, text, text, text, bigint, bigint);
