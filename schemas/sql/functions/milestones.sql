-- Whether this database is the newest one of the shop. A database that was restored from an older backup, a standby that
-- lagged behind when it was promoted, or an old primary that came back lacks what buyers have seen, and does not know.
-- So the newest timeline, epochs and event ids are also kept in RabbitMQ (the queue checkout.milestones): a milestone is a JSON object
-- {"shop", "generation", "system", "timeline", "reserved", "epochs": [of shard 0, …], "events": [of shard 0, …]}; null: not
-- said. The shop is the fingerprint of the secret that order ids are made with: milestones of another one do not count.
-- Consumers compare; whoever begins a session is refused until that was done, and when the database is behind.

-- What is another one after a restore, a promotion or a restart: the cluster, its timeline, its start, the database, its
-- tables.
create or replace function checkout.database_identity() returns text
language sql stable security definer set search_path = '' as $$
    select concat_ws(' ', (select c.system_identifier from pg_control_system() c),
                     left(pg_walfile_name(pg_current_wal_lsn()), 8),
                     extract(epoch from pg_postmaster_start_time()),
                     (select d.oid from pg_database d where d.datname = current_database()),
                     pg_relation_filenode('checkout.database_check'))
$$;

-- The same without the start: what differs, whose events may have been lost with another copy.
create or replace function checkout.copy_of(p_identity text) returns text
language sql immutable
return split_part(p_identity, ' ', 1) || ' ' || split_part(p_identity, ' ', 2) || ' ' || split_part(p_identity, ' ', 4)
       || ' ' || split_part(p_identity, ' ', 5);

-- Why a database is refused whose restore has begun though no milestone shows it (`restore finish --anyway`). Nothing would tell
-- it to the next one that compares, so it stays until the restore is finished, whatever starts meanwhile.
create or replace function checkout.restore_begun() returns text
language sql immutable
return 'a restore of this database has begun and is not finished; run `checkoutctl restore finish` again';

-- Why nothing may be served from this database; null: it may. SQLSTATE CK008: it was not compared yet; CK009: it is
-- behind. p_owner: the caller writes orders; others may go on where no consumer has ever kept milestones.
create or replace function checkout.database_problem(p_owner boolean, out sqlstate_ text, out problem text)
language plpgsql stable security definer set search_path = '' as $$
declare
    last record;
begin
    if pg_is_in_recovery() then
        return;
    end if;
    select c.identity, c.identity = checkout.database_identity() as same, c.refused into last
      from checkout.database_check c;
    if last.refused is not null and (last.same or last.refused = checkout.restore_begun()) then
        sqlstate_ := 'CK009';
        problem := last.refused;
    elsif not coalesce(last.same, last.identity is null and not p_owner) then
        sqlstate_ := 'CK008';
        problem := 'no consumer has compared this database with the milestones in RabbitMQ yet; one does as soon as it reaches both';
    end if;
end $$;

-- Ends the beginning of a session of a program that serves (SQLSTATE CK008, CK009). The operator's tool may look at any
-- database, and so may what compares.
create or replace function checkout.refuse_older_database() returns void
language plpgsql stable as $$
declare
    name constant text := current_setting('application_name');
    found record;
begin
    if name in ('checkoutctl', 'checkout-consumer', 'checkout-consumer start', 'checkout-consumer heartbeat') then
        return;
    end if;
    select * into found from checkout.database_problem(name like 'checkout-consumer%');
    if found.problem is not null then
        raise exception '%', found.problem using errcode = found.sqlstate_;
    end if;
end $$;

-- The same for what tells the shop about events, by whatever program.
create or replace function checkout.refuse_behind() returns void
language plpgsql stable as $$
declare
    found record;
begin
    select * into found from checkout.database_problem(false);
    if found.sqlstate_ = 'CK009' then
        raise exception '%', found.problem using errcode = 'CK009';
    end if;
end $$;

-- A message of that queue; null: it is no milestone.
create or replace function checkout.read_milestone(p_text text) returns jsonb
language plpgsql immutable as $$
declare
    milestone constant jsonb := p_text::jsonb;
begin
    return case when jsonb_typeof(milestone -> 'generation') = 'number' and jsonb_typeof(milestone -> 'epochs') = 'array'
                     and jsonb_typeof(milestone -> 'events') = 'array' then milestone end;
exception when data_exception then
    return null;
end $$;

-- Those of them that are of this shop.
create or replace function checkout.shop_milestones(p_milestones text[]) returns table (milestone jsonb)
language sql stable as $$
    select m.milestone
      from (select checkout.read_milestone(t.m) as milestone from unnest(p_milestones) t(m)) m
      left join checkout.service v on true
     where m.milestone is not null
       and (m.milestone ->> 'shop' = v.secret_fingerprint or m.milestone ->> 'shop' is null or v.secret_fingerprint is null)
$$;

-- The generation of the newest restore that the milestones know of.
create or replace function checkout.marked_generation(p_milestones text[]) returns bigint
language sql stable as $$
    select coalesce(max((m.milestone ->> 'generation')::bigint), 0) from checkout.shop_milestones(p_milestones) m
$$;

-- What the milestones of the newest generation say of each shard: each event that was published, with the epoch that was its
-- shard's then; null: not said, or there were fewer shards then than the event was written under. One without a reservation is
-- what a consumer remembers: it may have published for an owner that took its shard over unnoticed, so its epoch says nothing
-- of the event (0: no event).
create or replace function checkout.marked_events(p_milestones text[])
returns table (shard integer, epoch bigint, event_id bigint)
language sql stable as $$
    select distinct (e.n - 1)::integer, b.epoch, b.event_id
      from checkout.shop_milestones(p_milestones) m
      cross join lateral jsonb_array_elements(m.milestone -> 'events') with ordinality e(v, n)
      cross join lateral (select (m.milestone #>> array['epochs', (e.n - 1)::text])::bigint as epoch,
                                 (e.v #>> '{}')::bigint as event_id, m.milestone ? 'reserved' as of_one_moment) said
      cross join lateral (select said.epoch, said.event_id where said.of_one_moment
                          union all select said.epoch, 0 where not said.of_one_moment
                          union all select null, said.event_id where not said.of_one_moment) b
     where (m.milestone ->> 'generation')::bigint = checkout.marked_generation(p_milestones)
       and jsonb_typeof(e.v) = 'number'
$$;

-- What this database lacks of what the milestones say, in one line; null: nothing. An event is here if it is in its table, by
-- an epoch of then, or was purged; so it does not help an older database that it has gone on to higher ids.
create or replace function checkout.compare_milestones(p_milestones text[]) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
    mine constant bigint := (select c.generation from checkout.database_check c);
    newest constant bigint := checkout.marked_generation(p_milestones);
    system constant text := (select c.system_identifier::text from pg_control_system() c);
    timeline constant bigint := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint;
    marked bigint;
    lack record;
begin
    if newest <> mine then
        return case when newest > mine then format(
            'this database is an old copy (restore %s, and the shop is at %s): an old primary or an older backup; stop it', mine, newest) end;
    end if;
    select max((m.milestone ->> 'timeline')::bigint) into marked
      from checkout.shop_milestones(p_milestones) m
     where m.milestone ->> 'system' = system and (m.milestone ->> 'generation')::bigint = newest;
    if marked > timeline then
        return format('this database is an old primary that came back (timeline %s, and the shop is at %s); stop it', timeline, marked);
    end if;
    select count(*) as shards, min(m.shard) as first into lack
      from checkout.marked_events(p_milestones) m
     where (m.event_id > 0
            and not exists (select 1 from checkout.order_events e
                             where e.shard = m.shard and checkout.span_of(e.event_id) = checkout.span_of(m.event_id)
                               and e.event_id = m.event_id and (m.epoch is null or coalesce(e.epoch, 0) <= m.epoch))
            and not exists (select 1 from checkout.returns r where r.shard = m.shard and r.event_id = m.event_id)
            and not exists (select 1 from checkout.horizons h where h.shard = m.shard and h.event_id >= m.event_id))
        or m.epoch > (select max(s.epoch) from checkout.shards s where s.shard = m.shard);
    if lack.shards > 0 then
        return format('this database lacks events that buyers have seen (of shard %s first): an older backup was restored, or a '
                      'standby that lagged was promoted; see `checkoutctl restore status`', lack.first);
    end if;
    return null;
end $$;

-- Event ids go on above all that milestones have reserved: where this is another copy than before, and not behind, events of
-- the last moment may be lost that no milestone had yet. Their ids are never given again, so no cursor is ahead of what comes.
-- What comes is published at once, as after a restore, and not first when a milestone has the next reservation.
create or replace function checkout.skip_reserved_ids(p_milestones text[]) returns void
language plpgsql as $$
declare
    last constant bigint := (select s.last_value from checkout.event_ids s);
    reserved constant bigint := (select max((m.milestone ->> 'reserved')::bigint) from checkout.shop_milestones(p_milestones) m);
begin
    if reserved > last then
        perform setval('checkout.event_ids', reserved);
        update checkout.database_check set reserved_to = null where reserved_to is not null;
    end if;
end $$;

-- Compares, and remembers what came of it for this database as it is: from then on sessions begin, or are refused by the
-- problem that is returned. What was refused once stays so, until checkout.finish_restore. Waits for no replica.
create or replace function checkout.judge_database(p_milestones text[], p_by text)
returns table (problem text, shop text, generation bigint, system text, timeline bigint)
language plpgsql security definer set search_path = '' as $$
declare
    here constant text := checkout.database_identity();
    found constant text := checkout.compare_milestones(p_milestones);
    before text;
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into checkout.database_check default values on conflict do nothing;
    select c.identity into before from checkout.database_check c for update;
    if found is null and checkout.copy_of(before) is distinct from checkout.copy_of(here) then
        perform checkout.skip_reserved_ids(p_milestones);
    end if;
    update checkout.database_check c
       set identity = here,
           refused = case when c.identity = here or c.refused = checkout.restore_begun() then coalesce(c.refused, found) else found end,
           compared_at = now(), compared_by = left(p_by, 200)
     where c.identity is distinct from here or (c.refused is null and found is not null);
    return query
    select c.refused, (select v.secret_fingerprint from checkout.service v), c.generation, split_part(here, ' ', 1), ('x' || split_part(here, ' ', 2))::bit(32)::bigint
      from checkout.database_check c;
end $$;

-- The milestone of now; up to which id events may be published once it is kept in RabbitMQ (a million ids ahead, so that this changes
-- seldom), and up to which they may be now.
create or replace function checkout.milestone_now(out milestone text, out reserved bigint, out kept bigint)
language plpgsql stable security definer set search_path = '' as $$
declare
    here constant text := checkout.database_identity();
    last constant bigint := (select s.last_value from checkout.event_ids s);
    generation_ bigint;
begin
    select c.reserved_to, c.generation into kept, generation_ from checkout.database_check c;
    reserved := case when kept - 500000 > last then kept else last + 1000000 end;
    milestone := jsonb_build_object(
        'shop', (select v.secret_fingerprint from checkout.service v), 'generation', generation_, 'system', split_part(here, ' ', 1),
        'timeline', ('x' || split_part(here, ' ', 2))::bit(32)::bigint, 'reserved', reserved,
        'epochs', (select jsonb_agg(s.epoch order by s.shard) from checkout.service v join checkout.shards s on s.shards = v.shards),
        'events', to_jsonb(checkout.feed_end()))::text;
end $$;

-- The milestone with this reservation is safe in RabbitMQ. Waits for no replica.
create or replace function checkout.keep_reserved(p_reserved bigint) returns void
language sql security definer set search_path = '' as $$
    select set_config('synchronous_commit', 'off', true);
    update checkout.database_check c set reserved_to = p_reserved where c.reserved_to is distinct from p_reserved
$$;

-- The newest event that may be published; null: any, as for programs of version 1, which keep no milestones.
create or replace function checkout.announce_limit() returns bigint
language sql stable security definer set search_path = '' as $$
    select c.reserved_to from checkout.database_check c
     where nullif(current_setting('checkout.program', true), '') is not null
$$;
