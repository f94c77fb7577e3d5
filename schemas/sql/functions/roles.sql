-- A role for each program, with what it needs and no more. The roles cannot log in: make a login for each
-- program and give it its role, e.g.
--   create role shop_producer login password '…' in role checkout_producer;
-- This file is applied again whenever it, or any other function file, changes: what it does not grant is taken
-- away, so a right that is not written here does not exist.
--
-- checkout_requester belongs to no program: it owns the functions by which producer and notifier write, and has what these need.
-- Give it to no login. checkout_keeper is the same for the console, so that nothing of the producer may do what a shop's own people may.

do $$
declare
    part text;
    -- from PostgreSQL 16 on, who makes a role is its member, but may not act as it before it says so
    membership text := case when current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end;
begin
    foreach part in array array['producer', 'consumer', 'notifier', 'mailer', 'webhooks', 'console', 'operator', 'requester', 'keeper'] loop
        begin               -- roles belong to the whole server: another database may have made it
            execute format('create role %I nologin', 'checkout_' || part);
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;
    -- to make them the owners of functions, whoever migrates must be a member, unless a superuser
    foreach part in array array['checkout_requester', 'checkout_keeper'] loop
        if not pg_has_role(current_user, part, membership) then
            execute format('grant %I to %I', part, current_user);
        end if;
    end loop;
end $$;

revoke all on all tables in schema checkout
    from checkout_producer, checkout_consumer, checkout_notifier, checkout_mailer, checkout_webhooks, checkout_console, checkout_operator, checkout_requester, checkout_keeper;
revoke all on all sequences in schema checkout
    from checkout_producer, checkout_consumer, checkout_notifier, checkout_mailer, checkout_webhooks, checkout_console, checkout_operator, checkout_requester, checkout_keeper;
revoke execute on all functions in schema checkout
    from public, checkout_producer, checkout_consumer, checkout_notifier, checkout_mailer, checkout_webhooks, checkout_console, checkout_operator, checkout_requester, checkout_keeper;

grant usage on schema checkout
    to checkout_producer, checkout_consumer, checkout_notifier, checkout_operator, checkout_requester, checkout_keeper, checkout_mailer,
       checkout_webhooks, checkout_console;

-- Functions with the rights of their caller add none to these, so the roles that do the work and the operator's may
-- call each of them; those with rights of their own are named one by one below.
do $$
declare
    f regprocedure;
begin
    for f in
        select p.oid from pg_proc p
         where p.pronamespace = 'checkout'::regnamespace and not p.prosecdef order by p.oid
    loop
        execute format('grant execute on function %s to checkout_consumer, checkout_operator', f);
    end loop;
end $$;

-- Each session asks whether the database is the newest.
grant execute on function checkout.database_problem(boolean), checkout.refuse_older_database(), checkout.refuse_behind()
    to checkout_producer, checkout_consumer, checkout_notifier, checkout_mailer, checkout_webhooks, checkout_console, checkout_operator,
       checkout_requester;

-- The producer reads what it tells its buyers, and writes nothing itself: it may ask for a cancel, pass on what the
-- gateway tells, and show that it lives. These run with the rights of checkout_requester.
grant select on checkout.service, checkout.items, checkout.order_events, checkout.waitlist, checkout.commands,
    checkout.purged_orders to checkout_producer;
grant select (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, reference,
              payment_problem, payment_param, ticket, sequence, accepted_at, created_at, updated_at) on checkout.orders to checkout_producer;
grant select (order_id, attempt, state, action, action_until) on checkout.payments to checkout_producer, checkout_notifier;
grant select (shards, shard, stopped_at, stopped_ms) on checkout.shards to checkout_producer;
grant execute on function checkout.greet(integer), checkout.versions(), checkout.place_in_line(uuid), checkout.waits_until(uuid),
    checkout.clock_behind_ms(text), checkout.open_action(uuid), checkout.known_orders(uuid[]), checkout.unknown_items(text[])
    to checkout_producer;

grant select (order_id, user_id, sku, shard, status) on checkout.orders to checkout_requester;
grant select (sku, shard) on checkout.items to checkout_requester;
grant select (order_id, shard) on checkout.jobs_aside to checkout_requester;
grant select (order_id, status) on checkout.purged_orders to checkout_requester;
grant select (order_id, attempt, shard, state, action, action_until, intent_id) on checkout.payments to checkout_requester;
grant select (order_id, attempt, shard, state, intent_id, refund_id) on checkout.refunds to checkout_requester;
grant select (order_id, kind, state, argument) on checkout.commands to checkout_requester;
grant insert (kind, shard, order_id, user_id, argument, requested_by) on checkout.commands to checkout_requester;
grant select, insert, update on checkout.webhook_counts to checkout_requester;
grant select, insert, update, delete on checkout.daemons to checkout_requester;
grant execute on function checkout.open_action(uuid), checkout.payment_of_intent(text), checkout.home_of(uuid),
    checkout.event_matters(uuid, text, text, text, text), checkout.note_webhooks(bigint, bigint, text)
    to checkout_requester;

do $$
declare
    f regprocedure;
begin
    grant create on schema checkout to checkout_requester;      -- the owner of a function must have it at this moment
    foreach f in array array['checkout.request_cancel(uuid, text)',
                             'checkout.hear_gateway(text, text, uuid, text, text, text, bigint, bigint, text)',
                             'checkout.daemon_heartbeat(text, text, text, integer, text, boolean, text, bigint, bigint, bigint, integer)',
                             -- of the previous release
                             'checkout.request_webhook(uuid, text, text)']::regprocedure[] loop
        execute format('alter function %s owner to checkout_requester', f);
        execute format('alter function %s security definer', f);
        execute format('alter function %s set search_path = %L', f, '');
        execute format('revoke execute on function %s from public, checkout_consumer, checkout_operator', f);
        execute format('grant execute on function %s to checkout_producer', f);
    end loop;
    revoke create on schema checkout from checkout_requester;
    grant execute on function
        checkout.daemon_heartbeat(text, text, text, integer, text, boolean, text, bigint, bigint, bigint, integer)
        to checkout_notifier, checkout_mailer, checkout_webhooks, checkout_console;
end $$;

-- The console shows the shop its items and orders, without the buyers' secrets, and writes nothing itself: it may ask for
-- what an operator may ask for, in the name of whoever it answers, and put new items on sale.
grant select on checkout.service, checkout.items, checkout.order_events, checkout.waitlist, checkout.returns, checkout.horizons
    to checkout_console;
grant select (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, reference, payment_problem,
              payment_param, ticket, sequence, accepted_at, created_at, updated_at) on checkout.orders to checkout_console;
grant select (order_id, attempt, shard, state, amount, currency, intent_id, code, unclear_since, created_at)
    on checkout.payments to checkout_console;
grant select (order_id, attempt, shard, state, amount, currency, refund_id, code, reason, restock, note, created_at, updated_at)
    on checkout.refunds to checkout_console;
grant select (command_id, kind, shard, sku, order_id, requested_by, state, result, created_at, finished_at)
    on checkout.commands to checkout_console;
grant select (requested_by, key) on checkout.requests to checkout_console;
grant execute on function checkout.greet(integer), checkout.versions(), checkout.api_time(timestamptz), checkout.second_of(timestamptz),
    checkout.span_of(bigint), checkout.item_json(checkout.items), checkout.console_items(text, integer), checkout.console_item(text),
    checkout.console_order_json(uuid, text, text, integer, text, text, bigint, text, text, text, text, timestamptz,
                                timestamptz, timestamptz),
    checkout.console_orders(text, text, text, text, timestamptz, timestamptz, timestamptz, uuid, integer),
    checkout.console_order(uuid), checkout.command_json(bigint), checkout.console_before(text, text, text),
    checkout.console_ended(bigint[]), checkout.feed(bigint[], integer, boolean), checkout.feed_end(),
    checkout.feed_start(), checkout.feed_bound(bigint[]), checkout.refuse_behind_horizon(bigint[]) to checkout_console;
grant select (cut_event) on checkout.reshards to checkout_console, checkout_webhooks;

grant select on checkout.service, checkout.commands to checkout_keeper;
grant select (sku, shard) on checkout.items to checkout_keeper;
grant select (order_id, sku, shard) on checkout.orders to checkout_keeper;
grant select (order_id, shard) on checkout.jobs_aside to checkout_keeper;
grant insert (kind, shard, sku, order_id, argument, requested_by) on checkout.commands to checkout_keeper;
grant insert (shard, sku, title, price, currency, stock, limit_per_user, gate, opens_at, closes_at, challenge)
    on checkout.items to checkout_keeper;
grant select, insert, update (command_id), delete on checkout.requests to checkout_keeper;
grant execute on function checkout.request_command(text, text, integer, jsonb, text),
    checkout.request_order_command(text, uuid, jsonb, text), checkout.refuse_stray(checkout.commands),
    checkout.stray_command(checkout.commands), checkout.home_of(uuid), checkout.command_json(bigint),
    checkout.api_time(timestamptz), checkout.make_item(integer, integer, jsonb), checkout.hold_shards(integer),
    checkout.reshard_lock() to checkout_keeper;

-- What the operators' page shows is read with the rights of checkout_keeper, too: the console's own login need not see more
-- of payments than what it tells the shop.
grant select on checkout.daemons, checkout.order_events, checkout.waitlist, checkout.items, checkout.take_overs, checkout.relays,
    checkout.returns, checkout.items_aside, checkout.jobs_aside to checkout_keeper;
grant select (member_id, name, host, pid, version, ready, not_ready, started_at, heartbeat_at) on checkout.consumers
    to checkout_keeper;
grant select (shards, shard, owner, epoch, taken_at, paused, payments_stopped) on checkout.shards to checkout_keeper;
grant select (sku, status, reason, accepted_at, created_at) on checkout.orders to checkout_keeper;
grant select (order_id, attempt, shard, state, action, amount, currency, intent_id, code, resolution, unclear_since, created_at)
    on checkout.payments to checkout_keeper;
grant select (order_id, attempt, shard, state, amount, currency, intent_id, code, reason, try_at, key_since, unclear_since,
              updated_at) on checkout.refunds to checkout_keeper;
grant execute on function checkout.age_ms(timestamptz), checkout.second_of(timestamptz), checkout.span_of(bigint),
    checkout.list_daemons(), checkout.items_with_waitlist(integer[]), checkout.item_lines(), checkout.lines_now(checkout.item_line[]), checkout.sales_now(checkout.item_line[]), checkout.delays_now(),
    checkout.hot_items(integer), checkout.shop_now(), checkout.show_shards(checkout.item_line[]),
    checkout.show_busy_items(integer, checkout.item_line[]), checkout.unclear_payments(integer), checkout.failed_refunds(),
    checkout.amount_returned(text), checkout.lost_jobs(integer), checkout.show_changes(integer) to checkout_keeper;
grant select, insert, delete on checkout.moments to checkout_keeper;

do $$
declare
    f regprocedure;
begin
    grant create on schema checkout to checkout_keeper;
    foreach f in array array['checkout.console_request(text, text, text, text, integer, uuid, jsonb, jsonb, text, integer)',
                             'checkout.overview()', 'checkout.keep_moment(json)']::regprocedure[] loop
        execute format('alter function %s owner to checkout_keeper', f);
        execute format('alter function %s security definer', f);
        execute format('alter function %s set search_path = %L', f, '');
        execute format('revoke execute on function %s from public, checkout_consumer, checkout_operator', f);
        execute format('grant execute on function %s to checkout_console', f);
    end loop;
    revoke create on schema checkout from checkout_keeper;
end $$;

-- The notifier reads events, of orders without their buyers' secrets, and how the shop stands. It writes its heartbeat
-- alone.
grant select on checkout.order_events, checkout.items, checkout.waitlist, checkout.relays, checkout.service,
    checkout.horizons to checkout_notifier;
grant select (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, reference,
              payment_problem, payment_param, traceparent, ticket,
              sequence, accepted_at, created_at, updated_at) on checkout.orders to checkout_notifier;

grant execute on function checkout.greet(integer), checkout.versions(), checkout.next_action(uuid, text, integer, integer),
    checkout.open_action(uuid), checkout.relay_lags(bigint), checkout.age_ms(timestamptz), checkout.list_daemons(),
    checkout.count_daemons(), checkout.items_with_waitlist(integer[]), checkout.item_lines(), checkout.lines_now(checkout.item_line[]),
    checkout.hot_items(integer), checkout.second_of(timestamptz), checkout.span_of(bigint),
    checkout.shop_now(), checkout.refunds_owed(),
    checkout.refuse_old_event(bigint), checkout.clock_behind_ms(text), checkout.lines(text[]),
    checkout.line_tickets(text, integer), checkout.tickets_of(uuid[]) to checkout_notifier;
grant select on checkout.daemons to checkout_notifier;
grant select (member_id, name, host, pid, version, ready, not_ready, started_at, heartbeat_at) on checkout.consumers
    to checkout_notifier;
grant select (shards, shard, owner, payments_stopped, stopped_at, stopped_ms) on checkout.shards to checkout_notifier;
grant select (unclear_since) on checkout.payments to checkout_notifier;
grant select (state, unclear_since) on checkout.refunds to checkout_notifier;

-- The mailer reads the orders that it writes about, and keeps its mails; it makes none. It writes its heartbeat.
grant select, update on checkout.mails to checkout_mailer;
grant select, insert, update, delete on checkout.mail_counts to checkout_mailer;
grant select (order_id, sku, status, reason, quantity, amount, currency, reference, mail_to, locale, traceparent) on checkout.orders
    to checkout_mailer;
grant select (sku, title) on checkout.items to checkout_mailer;
grant select (order_id, attempt, state, action, action_until) on checkout.payments to checkout_mailer;
grant execute on function checkout.greet(integer), checkout.versions(), checkout.open_action(uuid), checkout.age_ms(timestamptz),
    checkout.mail_is_stale(uuid, text, text), checkout.count_mail(text, integer), checkout.mail_addresses_busy(),
    checkout.claim_mails(text, integer, bigint, integer), checkout.finish_mail(bigint, integer, text, text, bigint),
    checkout.mails_overdue() to checkout_mailer;

-- What sends webhooks reads the events and what stands in them, and keeps its deliveries. Endpoints it finds, and neither
-- makes nor changes. It writes its heartbeat.
grant select, insert, update, delete on checkout.hook_deliveries to checkout_webhooks;
grant select on checkout.hook_endpoints, checkout.order_events, checkout.returns, checkout.service, checkout.horizons
    to checkout_webhooks;
grant update (positions, paused, failures, failing_since, try_at) on checkout.hook_endpoints to checkout_webhooks;
grant select (order_id, user_id, sku, quantity, amount, currency, reference, traceparent) on checkout.orders to checkout_webhooks;
grant execute on function checkout.greet(integer), checkout.versions(), checkout.age_ms(timestamptz),
    checkout.feed(bigint[], integer, boolean), checkout.feed_start(), checkout.feed_bound(bigint[]), checkout.span_of(bigint),
    checkout.refuse_behind_horizon(bigint[]), checkout.fill_hook(text, integer, integer), checkout.fill_hooks(integer, integer),
    checkout.forget_hooks(bigint, integer), checkout.claim_hooks(text, bigint, integer),
    checkout.next_hooks(text, boolean, bigint), checkout.put_off_hooks(text, bigint[]),
    checkout.judge_hook(text, boolean, integer, bigint, bigint),
    checkout.finish_hook(bigint, integer, text, text, bigint, integer, integer, text, bigint, bigint),
    checkout.hooks_overdue(), checkout.hooks_now() to checkout_webhooks;

-- The consumer writes everything but what is in service; it makes no items, and orders and their history it
-- changes by checkout.move_orders alone.
grant select, insert, update, delete on all tables in schema checkout to checkout_consumer;
revoke insert, update, delete on checkout.service from checkout_consumer;
revoke insert, delete on checkout.items from checkout_consumer;
revoke insert, update, delete on checkout.orders, checkout.order_events, checkout.customer_units, checkout.mails,
    checkout.mail_counts, checkout.mail_settings, checkout.purged_orders, checkout.purged_items, checkout.horizons,
    checkout.forgotten_units, checkout.forget_salt, checkout.forgets, checkout.hook_endpoints, checkout.hook_deliveries,
    checkout.database_check, checkout.reshards, checkout.reshard_homes from checkout_consumer;
revoke delete on checkout.payments, checkout.refunds, checkout.commands from checkout_consumer;
grant usage on all sequences in schema checkout to checkout_consumer;
grant execute on function checkout.move_orders(integer, checkout.move[]), checkout.forget_webhooks(integer, integer),
    checkout.judge_database(text[], text), checkout.milestone_now(), checkout.keep_reserved(bigint), checkout.announce_limit(),
    checkout.bring_home(uuid, integer) to checkout_consumer;

-- checkoutctl, but for migrate: it reads all, puts items on sale and shards into service, and asks the
-- owners of the shards for the rest.
grant select on all tables in schema checkout to checkout_operator;
grant insert on checkout.items, checkout.commands, checkout.service, checkout.shards, checkout.relays
    to checkout_operator;
grant update on checkout.service, checkout.relays, checkout.mail_settings to checkout_operator;
grant update (state, due_at, since, ended_at) on checkout.mails to checkout_operator;
-- Of orders it deletes nothing itself: purging and forgetting run with the rights of the owner of the tables.
grant execute on function checkout.purge_orders(integer, timestamptz, bigint, integer, boolean),
    checkout.purge_records(timestamptz, bigint, integer, boolean),
    checkout.begin_forget(text, text), checkout.forget_orders(bigint, text, text, integer),
    checkout.compare_milestones(text[]), checkout.milestone_now(), checkout.announce_limit(),
    checkout.begin_restore(text[], boolean, text), checkout.restore_since(), checkout.finish_restore(text[], text),
    checkout.adopt_orders(jsonb, boolean), checkout.adopt_feed(jsonb, boolean),
    checkout.begin_reshard(integer, text), checkout.give_homes(text[], integer[]), checkout.step_reshard(bigint, text),
    checkout.move_shards(bigint, integer) to checkout_operator;

grant insert, update, delete on checkout.hook_endpoints, checkout.hook_deliveries to checkout_operator;

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
