-- A charge tells the gateway what was ordered, so that an order can be rebuilt from its list.
alter type checkout.task add attribute quantity integer, add attribute reference text;

-- Their arguments change.
drop function if exists
    checkout.charge_task(checkout.payments, checkout.orders),
    checkout.charge_task(uuid, integer, bigint, text, text, text, text, bigint, text, text, text, bigint, bigint, text);
