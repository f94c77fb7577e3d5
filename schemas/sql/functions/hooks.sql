-- Webhooks to the shop's backend. checkout-webhooks gives each event a row for each endpoint that wants it, claims the
-- rows that are due, and says what became of each. Whoever moves an order writes nothing for it: the rows are made from
-- the events, behind a position for each shard, as checkout.feed reads them, so that none is left out.
--
-- A crash of PostgreSQL may take the newest records along: then events are delivered once more. So these transactions
-- wait for no disk and no replica. The rows and the position behind them are of one transaction.

-- Gives an endpoint a row for each of its next events, of up to p_page of each shard. While p_most are due it has enough.
-- What it has not had yet is not purged (checkout.orders_to_keep); one that begins at the start begins with what is left.
-- True: there may be more.
create or replace function checkout.fill_hook(p_endpoint text, p_page integer, p_most integer) returns boolean
language plpgsql as $$
declare
    e checkout.hook_endpoints;
    starts bigint[];
    moved bigint[];
begin
    select * into e from checkout.hook_endpoints h where h.endpoint = p_endpoint for update;
    if e.paused is not null or e.endpoint is null
       or (select count(*) from (select 1 from checkout.hook_deliveries d
                                  where d.endpoint = p_endpoint and d.state = 'due' limit p_most) d) >= p_most then
        return false;
    end if;
    select array_agg(greatest(o.position, o.start) order by o.n) into starts
      from unnest(e.positions, checkout.feed_start()) with ordinality o(position, start, n);
    with page as materialized (
        select f.*, 'order.' || f.status as type from checkout.feed(starts, p_page, true) f),
    made as (
        insert into checkout.hook_deliveries (endpoint, event_id, shard, order_id, sequence, type, reason, amount, at)
        select p_endpoint, p.event_id, p.shard, p.order_id, p.sequence, p.type, p.reason, p.amount, p.at
          from page p where p.shown and (e.types is null or p.type = any (e.types)) order by p.event_id
            on conflict (endpoint, event_id) do nothing)
    select array_agg(greatest(o.position, coalesce((select max(p.event_id) from page p where p.shard = o.n - 1), 0))
                     order by o.n)
      into moved from unnest(starts) with ordinality o(position, n);
    if moved = e.positions then
        return false;
    end if;
    update checkout.hook_endpoints h set positions = moved where h.endpoint = p_endpoint;
    return true;
end $$;

create or replace function checkout.fill_hooks(p_page integer, p_most integer) returns boolean
language plpgsql as $$
declare
    h record;
    more boolean := false;
begin
    perform set_config('synchronous_commit', 'off', true);
    for h in select e.endpoint from checkout.hook_endpoints e where e.paused is null order by e.endpoint loop
        more := checkout.fill_hook(h.endpoint, p_page, p_most) or more;
    end loop;
    return more;
end $$;

-- Forgets up to 1000 deliveries of each endpoint that ended before p_keep_ms, or are not among its p_keep newest.
create or replace function checkout.forget_hooks(p_keep_ms bigint, p_keep integer) returns void
language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    delete from checkout.hook_deliveries d
     where d.delivery_id in (
           select o.delivery_id from checkout.hook_endpoints e
            cross join lateral (select greatest(now() - p_keep_ms * interval '1 ms',
                                                (select n.ended_at from checkout.hook_deliveries n
                                                  where n.endpoint = e.endpoint and n.state <> 'due'
                                                  order by n.ended_at desc offset p_keep limit 1)) as before) k
            cross join lateral (select n.delivery_id from checkout.hook_deliveries n
                                 where n.endpoint = e.endpoint and n.state <> 'due' and n.ended_at <= k.before
                                 order by n.ended_at limit 1000) o);
end $$;

-- Claims deliveries that are due, for p_lease_ms: a process that dies leaves them to the others then. An endpoint has
-- p_per_endpoint under way at once, one alone after 10 failures in a row; the endpoints do not share these places, so
-- none waits for another. Of an order the earliest due event alone may leave. A test leaves even while its endpoint is
-- paused. Claims are made one after the other; nothing waits in them.
create or replace function checkout.claim_hooks(p_worker text, p_lease_ms bigint, p_per_endpoint integer)
returns table (delivery_id bigint, attempt integer, tries integer, endpoint text, url text, event_id bigint, order_id uuid,
               sequence integer, type text, reason text, amount bigint, at_ms bigint, age_ms bigint,
               user_id text, sku text, quantity integer, currency text, reference text)
language plpgsql as $$
declare
    e record;
    places bigint;
begin
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(hashtext('checkout.claim_hooks'));
    for e in select h.endpoint, h.url, h.failures, h.paused is null and h.try_at <= now() as open
               from checkout.hook_endpoints h order by h.endpoint
    loop
        select case when e.failures >= 10 then 1 else p_per_endpoint end - count(*) into places
          from checkout.hook_deliveries d
         where d.endpoint = e.endpoint and d.state = 'due' and d.claimed_by is not null and d.due_at > now();
        continue when places <= 0;
        return query
        with due as (
            select d.delivery_id as id from checkout.hook_deliveries d
             where d.endpoint = e.endpoint and d.state = 'due' and d.due_at <= now() and (e.open or d.event_id is null)
               and (d.event_id is null    -- with `not exists` PostgreSQL may join all that is due with all of it
                    or d.event_id = (select min(b.event_id) from checkout.hook_deliveries b     -- by the index of its order
                                      where b.order_id = d.order_id
                                        and b.endpoint || '' = e.endpoint and b.state || '' = 'due'))
             order by d.due_at limit places for update skip locked),
        claimed as (
            update checkout.hook_deliveries d
               set attempts = d.attempts + 1, tries = d.tries + 1, claimed_by = p_worker,
                   due_at = now() + p_lease_ms * interval '1 ms'
              from due where d.delivery_id = due.id
            returning d.*)
        select c.delivery_id, c.attempts, c.tries, c.endpoint, e.url, c.event_id, c.order_id, c.sequence, c.type, c.reason,
               c.amount, (extract(epoch from c.at) * 1000)::bigint, checkout.age_ms(c.since),
               o.user_id, o.sku, o.quantity, o.currency, o.reference
          from claimed c left join checkout.orders o on o.order_id = c.order_id
         order by c.delivery_id;
    end loop;
end $$;

-- What an attempt says of its endpoint. One that fails without an end for p_pause_after_ms, or answers 410, is paused. When
-- it answers again after 10 failures or more, all that waits for a later try is due.
create or replace function checkout.judge_hook(
    p_endpoint text, p_sent boolean, p_status integer, p_hold_ms bigint, p_pause_after_ms bigint)
returns void
language plpgsql as $$
declare
    before integer;
begin
    if p_sent then
        select h.failures into before from checkout.hook_endpoints h where h.endpoint = p_endpoint and h.failures > 0 for update;
        if not found then
            return;
        end if;
        update checkout.hook_endpoints h set failures = 0, failing_since = null, try_at = now() where h.endpoint = p_endpoint;
        if before >= 10 then
            update checkout.hook_deliveries d set due_at = now()
             where d.endpoint = p_endpoint and d.state = 'due' and d.claimed_by is null and d.due_at > now();
        end if;
        return;
    end if;
    update checkout.hook_endpoints h
       set failures = h.failures + 1, failing_since = coalesce(h.failing_since, now()),
           try_at = now() + greatest(p_hold_ms, case when h.failures >= 9
                                                     then least(60000, 500 * 2 ^ least(h.failures - 8, 10)) else 0 end)
                            * interval '1 ms',
           paused = case when h.paused is not null then h.paused
                         when p_status = 410 then 'it answered 410: gone'
                         when h.failing_since < now() - p_pause_after_ms * interval '1 ms'
                         then 'it has failed since ' || to_char(h.failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') end
     where h.endpoint = p_endpoint;
end $$;

-- What became of an attempt: 'sent', 'failed' for ever, or 'due' again in p_retry_ms; with HTTP's status, if there was an
-- answer. What was sent is sent, whoever has claimed it since; other news count from the newest claim alone. False: it
-- says nothing new. A test says nothing of its endpoint.
create or replace function checkout.finish_hook(
    p_delivery bigint, p_attempt integer, p_state text, p_problem text, p_retry_ms bigint, p_status integer,
    p_duration_ms integer, p_answer text, p_hold_ms bigint, p_pause_after_ms bigint)
returns boolean
language plpgsql as $$
declare
    made record;
begin
    perform set_config('synchronous_commit', 'off', true);
    update checkout.hook_deliveries d
       set state = p_state, problem = p_problem, claimed_by = null, status = p_status, duration_ms = p_duration_ms,
           answer = p_answer, ended_at = case when p_state <> 'due' then now() end,
           due_at = case when p_state = 'due' then now() + p_retry_ms * interval '1 ms' else d.due_at end
     where d.delivery_id = p_delivery and d.state = 'due' and (d.attempts = p_attempt or p_state = 'sent')
    returning d.endpoint, d.event_id into made;
    if not found then
        return false;
    end if;
    if made.event_id is not null then
        perform checkout.judge_hook(made.endpoint, p_state = 'sent', p_status, p_hold_ms, p_pause_after_ms);
    end if;
    return true;
end $$;

-- How many deliveries could be made now, and for how long the oldest of them has been due.
create or replace function checkout.hooks_overdue(out hooks bigint, out oldest_s double precision)
language sql stable as $$
    select count(*), coalesce(extract(epoch from now() - min(d.due_at)), 0)
      from checkout.hook_endpoints e join checkout.hook_deliveries d on d.endpoint = e.endpoint
     where e.paused is null and e.try_at <= now() and d.state = 'due' and d.due_at <= now()
$$;

-- The endpoints as they stand: how many deliveries each has before it, and how old the oldest of these events is.
create or replace function checkout.hooks_now()
returns table (endpoint text, paused text, failures integer, due bigint, oldest_ms bigint)
language sql stable as $$
    select e.endpoint, e.paused, e.failures, count(d.delivery_id), coalesce(max(checkout.age_ms(d.at)), 0)
      from checkout.hook_endpoints e left join checkout.hook_deliveries d on d.endpoint = e.endpoint and d.state = 'due'
     group by e.endpoint, e.paused, e.failures order by e.endpoint
$$;

-- ---- what operators do ----

-- A new endpoint is sent what happens from now on, or everything there is. Raises CK010, with the reason.
create or replace function checkout.add_hook(p_endpoint text, p_url text, p_types text[], p_from_start boolean) returns void
language plpgsql as $$
declare
    ends bigint[] := checkout.feed_end();
begin
    perform pg_advisory_xact_lock(hashtext('checkout.add_hook'));
    if (select count(*) from checkout.hook_endpoints) >= 16 then
        raise exception 'there are 16 endpoints already, which is the most' using errcode = 'CK010';
    elsif cardinality(ends) = 0 then
        raise exception 'no shards are in service; run `checkoutctl topology` first' using errcode = 'CK010';
    elsif exists (select 1 from checkout.hook_endpoints e where e.endpoint = p_endpoint) then
        raise exception 'there is an endpoint of this name already' using errcode = 'CK010';
    end if;
    insert into checkout.hook_endpoints (endpoint, url, types, positions)
    values (p_endpoint, p_url, p_types, case when p_from_start then checkout.feed_start() else ends end);
end $$;

-- null: as it is. No types: everything.
create or replace function checkout.set_hook(p_endpoint text, p_url text, p_types text[]) returns boolean
language plpgsql as $$
begin
    update checkout.hook_endpoints e
       set url = coalesce(p_url, e.url),
           types = case when p_types is null then e.types when cardinality(p_types) > 0 then p_types end
     where e.endpoint = p_endpoint;
    return found;
end $$;

-- The deliveries first, as whoever finishes one does.
create or replace function checkout.remove_hook(p_endpoint text) returns boolean
language plpgsql as $$
begin
    perform 1 from checkout.hook_deliveries d where d.endpoint = p_endpoint order by d.delivery_id for update;
    delete from checkout.hook_deliveries d where d.endpoint = p_endpoint;
    delete from checkout.hook_endpoints e where e.endpoint = p_endpoint;
    return found;
end $$;

create or replace function checkout.pause_hook(p_endpoint text) returns boolean
language plpgsql as $$
begin
    update checkout.hook_endpoints e set paused = coalesce(e.paused, 'by an operator') where e.endpoint = p_endpoint;
    return found;
end $$;

-- What has waited is due now, as if for the first time.
create or replace function checkout.resume_hook(p_endpoint text) returns boolean
language plpgsql as $$
begin
    update checkout.hook_deliveries d set due_at = now(), since = now(), tries = 0
     where d.endpoint = p_endpoint and d.state = 'due' and d.claimed_by is null;
    update checkout.hook_endpoints e set paused = null, failures = 0, failing_since = null, try_at = now()
     where e.endpoint = p_endpoint;
    return found;
end $$;

-- The number of a delivery that tells of no event; null: there is no such endpoint.
create or replace function checkout.test_hook(p_endpoint text) returns bigint
language plpgsql as $$
declare
    made bigint;
begin
    insert into checkout.hook_deliveries (endpoint, type, at)
    select e.endpoint, 'test', now() from checkout.hook_endpoints e where e.endpoint = p_endpoint
    returning delivery_id into made;
    return made;
end $$;

-- Has deliveries that have ended made again: one, or those that failed, or those of events since then. How many.
create or replace function checkout.replay_hooks(p_endpoint text, p_delivery bigint, p_failed boolean, p_since timestamptz)
returns bigint
language plpgsql as $$
declare
    made bigint;
begin
    update checkout.hook_deliveries d
       set state = 'due', due_at = now(), since = now(), tries = 0, ended_at = null
     where d.endpoint = p_endpoint and d.state <> 'due' and d.event_id is not null
       and (d.delivery_id = p_delivery or (p_failed and d.state = 'failed') or d.at >= p_since);
    get diagnostics made = row_count;
    return made;
end $$;
