-- An order's trace goes to the gateway and with its events: a task has it, and the relay reads it.
alter type checkout.task add attribute traceparent text;

-- Their arguments or results change.
drop function if exists
    checkout.charge_task(checkout.payments, checkout.orders),
    checkout.charge_task(uuid, integer, bigint, text, text, text, text, bigint, text, text, text, bigint, bigint, text,
                         integer, text),
    checkout.unrelayed(integer, bigint, integer);
