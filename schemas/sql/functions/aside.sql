-- Items whose jobs cannot be decided yet. Something holds them up: another session has locked the item's row, or a
-- decision fails for this item while those of others pass. Their jobs are set aside, and the owner of the shard
-- tries again from their head. What settles, expires or executes passes over an item whose row is locked; its
-- rows stay, so it is found again.

-- Locks those of these items of a shard whose rows are free, in their order. Returns the others. Never waits, so that
-- a lock on one item delays no other one.
create or replace function checkout.lock_items(p_shard integer, p_skus text[]) returns text[]
language plpgsql as $$
declare
    locked constant text[] := array(select i.sku from checkout.items i where i.sku = any (p_skus) and i.shard = p_shard
                                     order by i.sku for update skip locked);
begin
    if cardinality(locked) = (select count(distinct u.sku collate "C") from unnest(p_skus) as u(sku)) then
        return '{}';
    end if;
    return array(select i.sku from checkout.items i where i.sku = any (p_skus) and i.shard = p_shard
                 except select u.sku from unnest(locked) as u(sku));
end $$;

-- These orders, but null in place of those of these items.
create or replace function checkout.not_of_items(p_ids uuid[], p_skus text[]) returns uuid[]
language sql stable as $$
    select array(select case when (select o.sku from checkout.orders o where o.order_id = u.order_id) = any (p_skus)
                             then null else u.order_id end
                   from unnest(p_ids) with ordinality as u(order_id, n) order by u.n)
$$;

-- Says of which outcomes nothing is recorded: those of these items' orders.
create or replace function checkout.not_recorded(p_ids uuid[], p_attempts integer[], p_skus text[])
returns setof checkout.output
language sql stable as $$
    select (checkout.output_of(checkout.not_recorded_news(u.order_id, u.attempt))).*
      from unnest(p_ids, p_attempts) as u(order_id, attempt)
      join checkout.orders o on o.order_id = u.order_id
     where o.sku = any (p_skus)
$$;

-- The items among these whose jobs go aside: those with jobs there, and those whose row another session has locked.
-- Locks the others.
create or replace function checkout.items_held_up(p_shard integer, p_skus text[]) returns text[]
language plpgsql as $$
declare
    skipped text[] := checkout.lock_items(p_shard, p_skus);
begin
    if exists (select 1 from checkout.items_aside a where a.shard = p_shard) then
        skipped := skipped || array(select a.sku from checkout.items_aside a where a.shard = p_shard and a.sku = any (p_skus));
    end if;
    return skipped;
end $$;

-- Sets the jobs of these items aside (p_held null: all jobs), in their order, each once. Returns how many.
create or replace function checkout.put_aside(
    p_shard integer, p_held text[], p_why text,
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[], p_customers text[], p_humans text[],
    p_mail_tos text[], p_locales text[])
returns bigint
language plpgsql as $$
declare
    put bigint;
begin
    with job as (
        select distinct on (u.order_id) u.*
          from unnest(p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices, p_references,
                      p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales) with ordinality
               as u(order_id, user_id, sku, quantity, payment_method, receipt_email, unit_price, reference,
                    accepted_at, fingerprint, traceparent, flaw, gateway_customer, human, mail_to,
                            locale, n)
         where (p_held is null or u.sku = any (p_held))
         order by u.order_id, u.n),
    new as (
        insert into checkout.jobs_aside
            (shard, sku, order_id, user_id, quantity, payment_method, receipt_email, unit_price, reference,
             accepted_at, fingerprint, traceparent, flaw, gateway_customer, human, mail_to, locale)
        select p_shard, coalesce(j.sku, ''), j.order_id, j.user_id, j.quantity, j.payment_method, j.receipt_email,
               j.unit_price, j.reference, least(j.accepted_at, now()), -- now, not when it is decided: see decide_jobs
               j.fingerprint, j.traceparent, j.flaw, j.gateway_customer, j.human, j.mail_to, j.locale
          from job j
         where not exists (select 1 from checkout.orders o where o.order_id = j.order_id)
           and not exists (select 1 from checkout.purged_orders p where p.order_id = j.order_id)
         order by j.n
            on conflict (order_id) do nothing
        returning sku),
    item as (
        insert into checkout.items_aside (shard, sku, why)
        select p_shard, n.sku, p_why from new n group by n.sku order by n.sku
            on conflict (shard, sku) do nothing)
    select count(*) into put from new;
    return put;
end $$;

-- Sets these jobs aside, as a transaction of its own, which commits where their decision fails.
create or replace function checkout.set_jobs_aside(
    p_shards integer, p_shard integer, p_epoch bigint, p_why text,
    p_ids uuid[], p_users text[], p_skus text[], p_quantities integer[], p_methods text[],
    p_emails text[], p_prices bigint[], p_references text[], p_accepted timestamptz[],
    p_fingerprints text[], p_traces text[], p_flaws text[], p_customers text[], p_humans text[],
    p_mail_tos text[], p_locales text[])
returns setof checkout.output
language plpgsql as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    return next checkout.output_of(checkout.set_aside_news(checkout.put_aside(
        p_shard, null, p_why, p_ids, p_users, p_skus, p_quantities, p_methods, p_emails, p_prices, p_references,
        p_accepted, p_fingerprints, p_traces, p_flaws, p_customers, p_humans,
            p_mail_tos, p_locales), p_skus[1], p_why));
end $$;

-- When an item that is set aside is tried next: soon at first, every 5 s later.
create or replace function checkout.next_try(p_tries integer) returns interval
language sql immutable
return least(5, 0.25 * 2 ^ least(p_tries, 10)) * interval '1 s';

-- A try of the item's jobs has failed.
create or replace function checkout.postpone_item(p_shard integer, p_sku text, p_why text) returns void
language plpgsql as $$
begin
    update checkout.items_aside a
       set tries = a.tries + 1, try_at = now() + checkout.next_try(a.tries), why = p_why
     where a.shard = p_shard and a.sku = p_sku;
end $$;

-- The same, as a transaction of its own, after one that failed.
create or replace function checkout.postpone_aside(p_shards integer, p_shard integer, p_epoch bigint, p_sku text, p_why text)
returns void
language plpgsql as $$
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    perform checkout.postpone_item(p_shard, p_sku, p_why);
end $$;

-- Decides up to p_limit jobs of an item that are set aside, from their head; p_flaw: null, or why they are invalid.
-- The task decide_aside says that there are more.
create or replace function checkout.decide_aside(
    p_shards integer, p_shard integer, p_epoch bigint, p_wait_ms bigint, p_sku text, p_limit integer, p_flaw text)
returns setof checkout.output
language plpgsql as $$
declare
    j record;
begin
    perform checkout.fence(p_shards, p_shard, p_epoch);
    if cardinality(checkout.lock_items(p_shard, array[p_sku])) > 0 then
        perform checkout.postpone_item(p_shard, p_sku, 'another session has locked the item''s row');
        return;
    end if;
    with gone as (
        delete from checkout.jobs_aside a
         where a.place = any (array(select h.place from checkout.jobs_aside h
                                     where h.shard = p_shard and h.sku = p_sku order by h.place limit p_limit))
        returning *)
    select array_agg(g.order_id order by g.place) as ids, array_agg(g.user_id order by g.place) as users,
           array_agg(g.sku order by g.place) as skus, array_agg(g.quantity order by g.place) as quantities,
           array_agg(g.payment_method order by g.place) as methods,
           array_agg(g.receipt_email order by g.place) as emails, array_agg(g.unit_price order by g.place) as prices,
           array_agg(g.reference order by g.place) as refs, array_agg(g.accepted_at order by g.place) as accepted,
           array_agg(g.fingerprint order by g.place) as fingerprints,
           array_agg(g.traceparent order by g.place) as traces,
           array_agg(coalesce(g.flaw, p_flaw) order by g.place) as flaws,
           array_agg(g.gateway_customer order by g.place) as customers, array_agg(g.human order by g.place) as humans,
           array_agg(g.mail_to order by g.place) as mail_tos, array_agg(g.locale order by g.place) as locales
      into j from gone g;
    if j.ids is not null then
        return query
        select * from checkout.decide_now(
            p_shards, p_shard, p_wait_ms, '{}', j.ids, j.users, j.skus, j.quantities, j.methods, j.emails, j.prices,
            j.refs, j.accepted, j.fingerprints, j.traces, j.flaws, j.customers, j.humans, j.mail_tos,
            j.locales);
    end if;
    if exists (select 1 from checkout.jobs_aside a where a.shard = p_shard and a.sku = p_sku) then
        update checkout.items_aside a set try_at = now() where a.shard = p_shard and a.sku = p_sku;
        return next checkout.output_of(checkout.decide_aside_task(p_sku));
    else
        delete from checkout.items_aside a where a.shard = p_shard and a.sku = p_sku;
    end if;
end $$;

-- The items of these shards whose jobs are to be tried again now; and how many items have jobs aside, in all.
create or replace function checkout.overdue_aside(p_shard_list integer[])
returns table (shard integer, sku text, items bigint)
language plpgsql stable as $$
begin
    return query
    select a.shard, case when a.try_at <= now() then a.sku end, count(*) over ()
      from checkout.items_aside a where a.shard = any (p_shard_list) order by a.try_at limit 256;
end $$;
