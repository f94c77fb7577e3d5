-- Mails: checkout-mailer claims those that are due, and says what became of each. checkout.move_orders writes them.

-- The kind of the mail that tells of a state; null: there is none. A reserved order asks its buyer to act at the bank, or
-- has nothing to tell.
create or replace function checkout.mail_kind(p_order uuid, p_status text, p_sequence integer) returns text
language sql stable
return case when p_status <> 'reserved' then nullif(p_status, 'cancelled')
            when p_sequence > 1 and checkout.open_action(p_order) is not null then 'action' end;

-- Whether there is no point in a mail any more: what it tells has changed meanwhile.
create or replace function checkout.mail_is_stale(p_order uuid, p_kind text, p_status text) returns boolean
language sql stable
return case p_kind when 'waiting' then p_status <> 'waiting'
                   when 'action' then p_status <> 'reserved' or checkout.open_action(p_order) is null
                   else false end;

-- One more mail to this address in this hour, if that is within the bound.
create or replace function checkout.count_mail(p_address text, p_per_hour integer) returns boolean
language plpgsql as $$
begin
    insert into checkout.mail_counts as c (hour, address, mails)
    values (date_trunc('hour', now()), sha256(convert_to(lower(p_address), 'UTF8')), 1)
        on conflict (hour, address) do update set mails = c.mails + 1 where c.mails < p_per_hour;
    return found;
end $$;

-- The addresses to which some mailer sends something now.
create or replace function checkout.mail_addresses_busy() returns text[]
language plpgsql stable as $$
begin
    return array(select lower((select o.mail_to from checkout.orders o where o.order_id = m.order_id)) -- no join: see claim_mails
                   from checkout.mails m where m.state = 'due' and m.claimed_by is not null and m.due_at > now());
end $$;

-- Claims up to p_limit mails that are due, for p_lease_ms: a mailer that dies leaves them to the others then. One
-- address has one mail under way at a time, so that a mailbox which never answers takes one place and no more, and
-- p_per_hour in an hour. A refund follows its confirmation. What is stale is dropped. Of a thousand at most, so that many mails to one address are soon put
-- off. Claims are made one after the other; nothing waits in them, and they wait for no disk and no replica: a crash of
-- PostgreSQL that takes a claim along has its mail claimed again, and perhaps sent again if it is under way just then. That a
-- mail was sent (finish_mail) is lasting.
create or replace function checkout.claim_mails(p_mailer text, p_limit integer, p_lease_ms bigint, p_per_hour integer)
returns table (mail_id bigint, attempt integer, kind text, address text, locale text, order_id uuid, sku text,
               title text, quantity integer, amount bigint, currency text, reference text, reason text,
               created_ms bigint, age_ms bigint, action_until_ms bigint)
language plpgsql set enable_bitmapscan = off set enable_sort = off as $$   -- which would read all that is due, to sort it
declare
    busy text[];
    m record;
begin
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(hashtext('checkout.claim_mails'));
    delete from checkout.mail_counts c where c.hour < date_trunc('hour', now()) - interval '1 hour';
    busy := checkout.mail_addresses_busy();
    for m in
        select d.mail_id as id, d.kind as what, d.attempts, d.created_at, d.since, o.order_id, o.status, o.reason, o.sku,
               o.quantity, o.amount, o.currency, o.reference, o.mail_to, o.locale,
               (select i.title from checkout.items i where i.sku = o.sku) as item_title
          from checkout.mails d
         cross join lateral (        -- each by its key: for a join PostgreSQL may read an index of orders whole, if they were few
               select q.order_id, q.status, q.reason, q.sku, q.quantity, q.amount, q.currency, q.reference, q.mail_to, q.locale
                 from checkout.orders q where q.order_id = d.order_id limit 1) o
         where d.state = 'due' and d.due_at <= now()
         order by d.due_at limit 1000 for update of d skip locked
    loop
        if checkout.mail_is_stale(m.order_id, m.what, m.status) then
            update checkout.mails d set state = 'dropped', problem = 'stale', claimed_by = null, ended_at = now()
             where d.mail_id = m.id;
        elsif m.what = 'refunded' and exists (select 1 from checkout.mails e where e.order_id = m.order_id
                                                 and e.kind = 'confirmed' and e.state || '' = 'due') then
            update checkout.mails d set claimed_by = null, due_at = greatest(now() + interval '5 s', (
                       select e.due_at from checkout.mails e where e.order_id = m.order_id and e.kind = 'confirmed'))
             where d.mail_id = m.id;
        elsif lower(m.mail_to) = any (busy) then
            update checkout.mails d set due_at = now() + interval '5 s', claimed_by = null where d.mail_id = m.id;
        elsif m.attempts = 0 and not checkout.count_mail(m.mail_to, p_per_hour) then
            update checkout.mails d set due_at = date_trunc('hour', now()) + interval '1 hour',
                   problem = 'more mails to this address in this hour than CHECKOUT_MAIL_PER_ADDRESS'
             where d.mail_id = m.id;
        else
            update checkout.mails d
               set attempts = d.attempts + 1, claimed_by = p_mailer, due_at = now() + p_lease_ms * interval '1 ms',
                   since = case when d.attempts = 0 then now() else d.since end
             where d.mail_id = m.id;
            busy := busy || lower(m.mail_to);
            return query
            select m.id, m.attempts + 1, m.what, m.mail_to, m.locale, m.order_id, m.sku, coalesce(m.item_title, m.sku),
                   m.quantity, m.amount, m.currency, m.reference, m.reason,
                   (extract(epoch from m.created_at) * 1000)::bigint,
                   case when m.attempts = 0 then 0 else checkout.age_ms(m.since) end,
                   (select (extract(epoch from p.action_until) * 1000)::bigint from checkout.payments p
                     where p.order_id = m.order_id and p.state || '' = 'open' order by p.attempt desc limit 1);
            p_limit := p_limit - 1;
            exit when p_limit = 0;
        end if;
    end loop;
end $$;

-- What became of an attempt: 'sent', 'failed' for ever, or 'due' again in p_retry_ms; 'unreached', likewise, where no server
-- has heard of it: the time for which it is tried begins then. A mail that was sent is sent, whoever has claimed it since;
-- other news count from the newest claim alone. False: it says nothing new.
create or replace function checkout.finish_mail(p_mail bigint, p_attempt integer, p_state text, p_problem text, p_retry_ms bigint)
returns boolean
language plpgsql as $$
begin
    update checkout.mails m
       set state = case when p_state = 'unreached' then 'due' else p_state end, problem = p_problem, claimed_by = null,
           due_at = case when p_state in ('due', 'unreached') then now() + p_retry_ms * interval '1 ms' else m.due_at end,
           since = case when p_state = 'unreached' then now() else m.since end,
           ended_at = case when p_state not in ('due', 'unreached') then now() end
     where m.mail_id = p_mail and m.state || '' = 'due'    -- by its key, not by an index of what is due
       and (m.attempts = p_attempt or p_state = 'sent');
    return found;
end $$;

-- How many mails should have left by now, and for how long the oldest of them has been due.
create or replace function checkout.mails_overdue(out mails bigint, out oldest_s double precision)
language sql stable as $$
    select count(*), coalesce(extract(epoch from now() - min(m.due_at)), 0)
      from checkout.mails m where m.state = 'due' and m.due_at <= now()
$$;

-- An operator wants a mail that failed, or was dropped, to be tried again. False: it is none of these, or its customer was
-- forgotten.
create or replace function checkout.retry_mail(p_mail bigint) returns boolean
language plpgsql as $$
begin
    update checkout.mails m set state = 'due', due_at = now(), since = now(), ended_at = null
     where m.mail_id = p_mail and m.state in ('failed', 'dropped')
       and exists (select 1 from checkout.orders o where o.order_id = m.order_id and o.mail_to is not null);
    return found;
end $$;
