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
     where d.delivery_id = any (array(
           select o.delivery_id from checkout.hook_endpoints e
            cross join lateral (select greatest(now() - p_keep_ms * interval '1 ms',
                                                (select n.ended_at from checkout.hook_deliveries n
                                                  where n.endpoint = e.endpoint and n.state <> 'due'
                                                  order by n.ended_at desc offset p_keep limit 1)) as before) k
            cross join lateral (select n.delivery_id from checkout.hook_deliveries n
                                 where n.endpoint = e.endpoint and n.state <> 'due' and n.ended_at <= k.before
                                 order by n.ended_at limit 1000) o));
end $$;

-- Of deliveries that are due behind an earlier event of their order: where that one waits for its next attempt, they are
-- due with it from then on. The lock of the endpoint keeps away those who make all that waits due (judge_hook, resume_hook):
-- while one of them is at work, nothing is put off.
create or replace function checkout.put_off_hooks(p_endpoint text, p_deliveries bigint[]) returns void
language plpgsql as $$
begin
    perform 1 from checkout.hook_endpoints h where h.endpoint = p_endpoint for no key update skip locked;
    if not found then
        return;
    end if;
    with behind as (
        select d.delivery_id, d.order_id from checkout.hook_deliveries d
         where d.delivery_id = any (p_deliveries) and d.state || '' = 'due' and d.due_at <= now() for update skip locked)
    update checkout.hook_deliveries d set due_at = first.due_at
      from behind b
     cross join lateral (select e.due_at, e.claimed_by from checkout.hook_deliveries e
                          where e.order_id = b.order_id and e.endpoint || '' = p_endpoint and e.state || '' = 'due'
                          order by e.event_id limit 1) first
     where d.delivery_id = b.delivery_id and first.due_at > now() and first.claimed_by is null;
end $$;

-- Which deliveries may leave to an endpoint now, p_places at most: tests, and, where it is open, of each order the earliest
-- due event alone. What waits behind such an event is looked at once, up to 1000 in a call, so that a long queue of what
-- cannot leave costs the claims of others nothing.
create or replace function checkout.next_hooks(p_endpoint text, p_open boolean, p_places bigint) returns bigint[]
language plpgsql set enable_bitmapscan = off set enable_sort = off as $$   -- which would read all that is due, to sort it
declare
    chosen bigint[];
    behind bigint[] := '{}';
    d record;
    earliest record;
begin
    chosen := array(select t.delivery_id from checkout.hook_deliveries t
                     where t.endpoint = p_endpoint and t.event_id is null and t.order_id is null
                       and t.state || '' = 'due' and t.due_at <= now()
                     order by t.due_at limit p_places);
    if not p_open then
        return chosen;
    end if;
    for d in
        select w.delivery_id, w.order_id from checkout.hook_deliveries w
         where w.endpoint = p_endpoint and w.state = 'due' and w.due_at <= now() and w.event_id is not null
         order by w.due_at limit 1000
    loop
        exit when cardinality(chosen) >= p_places;
        select w.delivery_id, w.due_at, w.claimed_by into earliest from checkout.hook_deliveries w    -- by the index of its order
         where w.order_id = d.order_id and w.endpoint || '' = p_endpoint and w.state || '' = 'due'
         order by w.event_id limit 1;
        if earliest.due_at > now() and earliest.claimed_by is null then
            behind := behind || d.delivery_id;
        elsif earliest.due_at <= now() and earliest.delivery_id <> all (chosen) then
            chosen := chosen || earliest.delivery_id;
        end if;
    end loop;
    if cardinality(behind) > 0 then
        perform checkout.put_off_hooks(p_endpoint, behind);
    end if;
    return chosen;
end $$;

-- Claims deliveries that are due, for p_lease_ms: a process that dies leaves them to the others then. An endpoint has
-- p_per_endpoint under way at once, one alone after 10 failures in a row; the endpoints do not share these places, so
-- none waits for another. A test leaves even while its endpoint is paused. Claims are made one after the other; nothing
-- waits in them. How long an event is tried counts from its first attempt, not from the time that it waited before.
create or replace function checkout.claim_hooks(p_worker text, p_lease_ms bigint, p_per_endpoint integer)
returns table (delivery_id bigint, attempt integer, tries integer, endpoint text, url text, event_id bigint, order_id uuid,
               sequence integer, type text, reason text, amount bigint, at_ms bigint, age_ms bigint,
               user_id text, sku text, quantity integer, currency text, reference text)
language plpgsql as $$
declare
    e record;
    places bigint;
    chosen bigint[];
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
        chosen := checkout.next_hooks(e.endpoint, e.open, places);
        continue when cardinality(chosen) = 0;
        return query
        with due as (
            select d.delivery_id as id from checkout.hook_deliveries d
             where d.delivery_id = any (chosen) and d.state || '' = 'due' and d.due_at <= now() for update skip locked),
        claimed as (
            update checkout.hook_deliveries d
               set attempts = d.attempts + 1, tries = d.tries + 1, claimed_by = p_worker,
                   since = case when d.tries = 0 then now() else d.since end,
                   due_at = now() + p_lease_ms * interval '1 ms'
              from due where d.delivery_id = due.id
            returning d.*)
        select c.delivery_id, c.attempts, c.tries, c.endpoint, e.url, c.event_id, c.order_id, c.sequence, c.type, c.reason,
               c.amount, (extract(epoch from c.at) * 1000)::bigint, checkout.age_ms(c.since),
               o.user_id, o.sku, o.quantity, o.currency, o.reference
          from claimed c
          left join lateral (        -- each by its key
               select q.user_id, q.sku, q.quantity, q.currency, q.reference
                 from checkout.orders q where q.order_id = c.order_id limit 1) o on true
         order by c.delivery_id;
    end loop;
end $$;

-- What an attempt says of its endpoint. One that fails without an end for p_pause_after_ms, or answers 410, is paused. When
-- it answers again after 10 failures or more, all that waits for a later try is due. What was under way when it asked to be
-- left alone for a time changes nothing of that.
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
        update checkout.hook_endpoints h
           set failures = 0, failing_since = null, try_at = case when before >= 10 then now() else h.try_at end
         where h.endpoint = p_endpoint;
        if before >= 10 then
            update checkout.hook_deliveries d set due_at = now()
             where d.endpoint = p_endpoint and d.state = 'due' and d.claimed_by is null and d.due_at > now();
        end if;
        return;
    end if;
    update checkout.hook_endpoints h
       set failures = h.failures + 1, failing_since = coalesce(h.failing_since, now()),
           try_at = greatest(h.try_at, now() + interval '1 ms'
                             * greatest(p_hold_ms, case when h.failures >= 9
                                                        then least(60000, 500 * 2 ^ least(h.failures - 8, 10)) else 0 end)),
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
     where d.delivery_id = p_delivery and d.state || '' = 'due'      -- by its key, not by an index of what is due
       and (d.attempts = p_attempt or p_state = 'sent')
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

-- What has waited is due now, as if for the first time. The endpoint first, as whoever makes all that waits due does.
create or replace function checkout.resume_hook(p_endpoint text) returns boolean
language plpgsql as $$
begin
    update checkout.hook_endpoints e set paused = null, failures = 0, failing_since = null, try_at = now()
     where e.endpoint = p_endpoint;
    if not found then
        return false;
    end if;
    update checkout.hook_deliveries d set due_at = now(), since = now(), tries = 0
     where d.endpoint = p_endpoint and d.state = 'due' and d.claimed_by is null;
    return true;
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
