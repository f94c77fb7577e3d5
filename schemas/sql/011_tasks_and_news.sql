-- What a writing transaction of a shard tells its caller is two things now: tasks, which are to be done, and
-- news of what happened. They were one type, checkout.effect, whose columns changed their meaning by its kind;
-- it stays for the functions of the previous release.

-- What to do. Each stands for a row of a table, so one that is forgotten is found again.
--   charge       an order: its intent is durable for age_ms; resolution: what an operator says became of it
--   refund       give the payment intent_id back under this key, which is durable for age_ms
--   reconcile    look at the gateway whether this payment took money after all
--   await_buyer  the buyer has been asked to act, and has left_ms to do so
--   check        something may have happened to the order's payment: look at it
--   settle_line  the line of sku has more to settle
--   run_commands there may be more commands to execute
create type checkout.task as (
    kind text, order_id uuid, sku text, attempt integer, amount bigint, currency text, payment_method text,
    receipt_email text, intent_id text, key text, age_ms bigint, left_ms bigint, resolution text
);

-- What happened.
--   transition   `count` orders got this status (for this reason)
--   conflict     a retry of the order came with another fingerprint; the first counts
--   late_capture the order, which is `status`, had money taken by intent_id: it is given back
--   command      command_id has ended: status done or refused, and the result in words; of an item: it may
--                have changed
--   item_changed units of sku have come back, by a refund
create type checkout.news as (
    kind text, order_id uuid, sku text, status text, reason text, intent_id text, command_id bigint, count bigint
);

-- A row of what a transaction tells: one of the two.
create type checkout.output as (task checkout.task, news checkout.news);

-- Functions whose result was checkout.effect and that no program calls: the new ones have names of their own,
-- so a transaction that runs while this is applied never meets a result that it does not expect. It finds no
-- function, and its caller tries again.
drop function if exists
    checkout.promote(text, integer),
    checkout.settle_item(integer, text, integer),
    checkout.command_result(text, text),
    checkout.do_cancel(checkout.commands),
    checkout.do_restock(checkout.commands),
    checkout.do_pause(integer, checkout.commands),
    checkout.do_resume(integer, checkout.commands),
    checkout.do_resolve(checkout.commands),
    checkout.do_webhook(checkout.commands),
    checkout.do_refund(checkout.commands),
    checkout.execute_command(integer, checkout.commands),
    checkout.refund_effect(checkout.refunds, text),
    checkout.begin_refund(uuid, integer, text, bigint, text, boolean, text),
    checkout.late_success(uuid, text, bigint),
    checkout.end_refund(uuid, integer, text, text),
    checkout.ask_buyers(integer, uuid[], integer[], text[], text[], text[]);
