-- A role for each program, with what it needs and no more. The roles cannot log in: make a login for each
-- program and give it its role, e.g.
--   create role shop_producer login password '…' in role checkout_producer;
-- This file is applied again whenever it, or any other function file, changes: what it does not grant is taken
-- away, so a right that is not written here does not exist.

do $$
declare
    program text;
begin
    foreach program in array array['producer', 'consumer', 'notifier', 'operator'] loop
        begin               -- roles belong to the whole server: another database may have made it
            execute format('create role %I nologin', 'checkout_' || program);
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;
end $$;

revoke all on all tables in schema checkout
    from checkout_producer, checkout_consumer, checkout_notifier, checkout_operator;
revoke all on all sequences in schema checkout
    from checkout_producer, checkout_consumer, checkout_notifier, checkout_operator;

grant usage on schema checkout to checkout_producer, checkout_consumer, checkout_notifier, checkout_operator;

-- The producer reads what it tells its buyers, and writes only what they ask for.
grant select on checkout.service, checkout.items, checkout.order_events, checkout.waitlist, checkout.commands
    to checkout_producer;
grant select (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, reference,
              payment_problem, payment_param, ticket, sequence, accepted_at, created_at, updated_at) on checkout.orders to checkout_producer;
grant select (order_id, attempt, state, action) on checkout.payments to checkout_producer, checkout_notifier;
grant insert on checkout.commands to checkout_producer;
revoke execute on function checkout.hear_gateway(text, text, uuid, text, text, text) from public;
grant execute on function checkout.hear_gateway(text, text, uuid, text, text, text) to checkout_producer;
revoke execute on function checkout.forget_webhooks(integer, integer) from public;
grant execute on function checkout.forget_webhooks(integer, integer) to checkout_consumer;
revoke execute on function checkout.note_webhooks(bigint, bigint, text) from public;
grant execute on function checkout.note_webhooks(bigint, bigint, text) to checkout_producer;

-- The notifier reads events, of orders without their buyers' secrets.
grant select on checkout.order_events, checkout.items, checkout.waitlist to checkout_notifier;
grant select (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, reference,
              payment_problem, payment_param, ticket,
              sequence, accepted_at, created_at, updated_at) on checkout.orders to checkout_notifier;

-- The consumer writes everything but what is in service; it makes no items, and orders and their history it
-- changes by checkout.move_orders alone.
grant select, insert, update, delete on all tables in schema checkout to checkout_consumer;
revoke insert, update, delete on checkout.service from checkout_consumer;
revoke insert, delete on checkout.items from checkout_consumer;
revoke insert, update, delete on checkout.orders, checkout.order_events, checkout.customer_units
    from checkout_consumer;
revoke delete on checkout.payments, checkout.refunds, checkout.commands from checkout_consumer;
grant usage on all sequences in schema checkout to checkout_consumer;

-- checkoutctl, but for migrate: it reads all, puts items on sale and shards into service, and asks the
-- owners of the lines for the rest.
grant select on all tables in schema checkout to checkout_operator;
grant insert on checkout.items, checkout.commands, checkout.service, checkout.shards, checkout.relays
    to checkout_operator;
grant update on checkout.service, checkout.relays to checkout_operator;

do $$                       -- doctor compares what migrate has applied with its files
declare
    kept text;
begin
    foreach kept in array array['public.checkout_migrations', 'public.checkout_functions'] loop
        if to_regclass(kept) is not null then
            execute format('grant select on %s to checkout_operator', kept);
        end if;
    end loop;
end $$;
