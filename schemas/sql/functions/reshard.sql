-- Changing the number of shards while a sale runs. checkoutctl reshard goes from step to step; each is one transaction
-- that may be repeated. docs/resharding.md has the whole.

-- Who asks the owner of a shard for something, or makes an item, holds this shared while it is decided which shard that is;
-- checkout.move_shards holds it alone.
create or replace function checkout.reshard_lock() returns bigint
language sql immutable return 7237970109966541413;

-- The caller's number of shards must be the one in service, and stays so until its transaction ends.
create or replace function checkout.hold_shards(p_shards integer) returns void
language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(checkout.reshard_lock());
    if p_shards is distinct from (select s.shards from checkout.service s) then
        raise exception 'the number of shards in service has changed' using errcode = '40001';
    end if;
end $$;

-- Which shards in service may own what was written under this number: with another number in service, other ones.
create or replace function checkout.homes_of(p_number integer) returns integer[]
language plpgsql stable as $$
declare
    serving constant integer := (select v.shards from checkout.service v);
    least_ever constant integer := least(serving, (select min(least(r.from_shards, r.to_shards)) from checkout.reshards r
                                                    where r.cut_event is not null));
begin
    return array(select s from generate_series(0, serving - 1) s
                  where s % least_ever = p_number % least_ever order by s);
end $$;

-- Keeps the owners of what was written under these numbers at bay until the transaction ends, and the number of shards as it
-- is. False: one of them, or a change of that number, was at work for longer than 100 ms.
create or replace function checkout.keep_owners_out(p_numbers integer[]) returns boolean
language plpgsql as $$
begin
    perform set_config('lock_timeout', '100ms', true);
    perform pg_advisory_xact_lock_shared(checkout.reshard_lock());
    perform 1 from checkout.shards s join checkout.service v on v.shards = s.shards     -- read when the number is held
      where s.shard in (select unnest(checkout.homes_of(n)) from unnest(p_numbers) n)
      order by s.shard for no key update of s;
    return true;
exception when lock_not_available then
    return false;
end $$;

-- A command waits while the number of shards changes. Its caller may have read its shard before: then it goes to the shard
-- that has its order or item now (of an order that has not come, and names no item, it is any), and a command to a whole
-- shard is refused, since that shard is not there any more.
create or replace function checkout.place_command() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform pg_advisory_xact_lock_shared(checkout.reshard_lock());
    if new.shard is null or not exists (select 1 from checkout.reshards r where r.moved_at > now() - interval '1 min') then
        return new;
    elsif new.order_id is not null or new.sku is not null then
        new.shard := coalesce(checkout.home_of(new.order_id),
                              (select i.shard from checkout.items i
                                where i.sku = coalesce(new.sku, new.argument ->> 'sku')),
                              new.shard % (select v.shards from checkout.service v));
    elsif exists (select 1 from checkout.reshards r where r.moved_at > now()) then     -- after this transaction began
        new.state := 'refused';
        new.result := 'the number of shards has changed: ask again';
        new.finished_at := clock_timestamp();
    end if;
    return new;
end $$;

create or replace trigger place_command before insert on checkout.commands
    for each row execute function checkout.place_command();

-- The number of shards that an unfinished change goes to, and its state.
create or replace function checkout.show_reshard()
returns table (reshard_id bigint, from_shards integer, to_shards integer, state text, closed_ms bigint)
language sql stable as $$
    select r.reshard_id, r.from_shards, r.to_shards, r.state,
           (extract(epoch from clock_timestamp() - r.closed_at) * 1000)::bigint
      from checkout.reshards r where r.state not in ('done', 'undone')
$$;

-- What a change has to move at once: items, and what is open.
create or replace function checkout.reshard_size()
returns table (items bigint, waiting bigint, payments bigint, others bigint)
language sql stable as $$
    select (select count(*) from checkout.items), (select count(*) from checkout.waitlist),
           (select count(*) from checkout.payments p where p.state = 'open' or p.look_at is not null),
           (select count(*) from checkout.jobs_aside) + (select count(*) from checkout.commands c where c.state = 'pending')
           + (select count(*) from checkout.refunds f where f.state = 'open') + (select count(*) from checkout.return_looks)
$$;

-- Living programs that have another number set than this one, and would not follow; null: there are none.
create or replace function checkout.set_programs(p_to integer) returns text
language sql stable as $$
    with living as (
        select d.program, d.host, d.place, d.shards_set from checkout.daemons d where d.heartbeat_at >= now() - interval '15 s'
        union all
        select 'consumer', c.host, c.name, c.shards_set from checkout.consumers c
         where c.heartbeat_at >= now() - interval '15 s')
    select format('%s would not follow, since CHECKOUT_SHARDS is set: unset it, and start again (the first is the %s %s on %s)',
                  case count(*) when 1 then 'a program' else count(*) || ' programs' end,
                  (array_agg(l.program order by l.program, l.host, l.place))[1],
                  left((array_agg(l.place order by l.program, l.host, l.place))[1], 80),
                  left((array_agg(l.host order by l.program, l.host, l.place))[1], 80))
      from living l where l.shards_set <> p_to having count(*) > 0
$$;

-- Why the number cannot change to p_to; null: it can. A shard cannot be half paused.
create or replace function checkout.reshard_problem(p_to integer) returns text
language plpgsql stable as $$
declare
    serving constant integer := (select v.shards from checkout.service v);
    stubborn text;
    mixed integer;
begin
    if serving is null then
        return 'no shards are in service yet: run `checkoutctl topology`';
    elsif p_to = serving then
        return format('%s shards are in service already', serving);
    end if;
    stubborn := checkout.set_programs(p_to);
    if stubborn is not null then
        return stubborn;
    end if;
    select s.shard % p_to into mixed from checkout.shards s
     where s.shards = serving group by s.shard % p_to having bool_or(s.paused) and not bool_and(s.paused) limit 1;
    if found then
        return format('some of the shards that become shard %s are paused, others are not: pause or resume all of them', mixed);
    end if;
    return null;
end $$;

-- Begins a change. Raises SQLSTATE CK002 with the reason if there can be none.
create or replace function checkout.begin_reshard(p_to integer, p_by text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    problem constant text := checkout.reshard_problem(p_to);
    id bigint;
begin
    if problem is not null then
        raise exception '%', problem using errcode = 'CK002';
    end if;
    insert into checkout.reshards (from_shards, to_shards, requested_by)
    select v.shards, p_to, p_by from checkout.service v returning reshard_id into id;
    delete from checkout.reshard_homes;
    return id;
exception when unique_violation then
    raise exception 'another change of the number of shards is under way' using errcode = 'CK002';
end $$;

-- SKUs whose new shard is not known yet, up to p_limit.
create or replace function checkout.homeless(p_limit integer) returns setof text
language sql stable as $$
    (select i.sku from checkout.items i
      where not exists (select 1 from checkout.reshard_homes h where h.sku = i.sku) order by i.sku limit p_limit)
    union
    (select a.sku from checkout.items_aside a
      where not exists (select 1 from checkout.reshard_homes h where h.sku = a.sku) order by a.sku limit p_limit)
$$;

create or replace function checkout.give_homes(p_skus text[], p_shards integer[]) returns void
language sql security definer set search_path = '' as $$
    insert into checkout.reshard_homes (sku, shard) select u.sku, u.shard from unnest(p_skus, p_shards) as u(sku, shard)
        on conflict (sku) do update set shard = excluded.shard
$$;

-- From one state to the next; in that state already, nothing happens. Returns the state.
create or replace function checkout.step_reshard(p_reshard bigint, p_to text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    was text;
begin
    select r.state into strict was from checkout.reshards r where r.reshard_id = p_reshard for update;
    if not (p_to = was or (was, p_to) in (('begun', 'closed'), ('begun', 'undoing'), ('closed', 'undoing'),
                                          ('undoing', 'undone'), ('moved', 'open'), ('open', 'done'))) then
        return was;
    end if;
    update checkout.reshards r
       set state = p_to,
           closed_at = case when p_to = 'closed' then coalesce(r.closed_at, clock_timestamp()) else r.closed_at end,
           opened_at = case when p_to = 'open' then coalesce(r.opened_at, clock_timestamp()) else r.opened_at end,
           ended_at = case when p_to in ('done', 'undone') then coalesce(r.ended_at, clock_timestamp()) end
     where r.reshard_id = p_reshard;
    if p_to in ('done', 'undone') then
        delete from checkout.reshard_homes;
    end if;
    return p_to;
end $$;

-- Shards under the old number with events that are not relayed yet.
create or replace function checkout.unrelayed_shards(p_shards integer) returns integer
language sql stable as $$
    select count(*)::integer from generate_series(0, p_shards - 1) s
     where exists (select 1 from checkout.order_events e
                    join checkout.relays r on r.shard = s
                    where e.shard = s and checkout.span_of(e.event_id) >= checkout.span_of(r.relayed_to)
                      and e.event_id > r.relayed_to)
$$;

-- The rows of the new shards, with epochs above all that ever were, so that those of a number never fall. The clock of a
-- new shard is the one that is furthest ahead among those it is made of; `ahead` is by how much, for each old one.
create or replace function checkout.make_shards(p_from integer, p_to integer) returns void
language plpgsql as $$
declare
    top constant bigint := (select max(s.epoch) from checkout.shards s);
begin
    insert into checkout.shards as t (shards, shard, epoch, paused, stopped_at, stopped_ms)
    select p_to, n.shard, top + 1, bool_or(o.paused), case when bool_or(o.paused) then now() end,
           greatest(0, (extract(epoch from now() - max(checkout.shard_clock(o))) * 1000)::bigint)
      from generate_series(0, p_to - 1) n(shard)
      join checkout.shards o on o.shards = p_from and o.shard % least(p_from, p_to) = n.shard % least(p_from, p_to)
     group by n.shard
        on conflict (shards, shard) do update
       set epoch = excluded.epoch, owner = null, taken_at = null, paused = excluded.paused, payments_stopped = null,
           stopped_at = excluded.stopped_at, stopped_ms = excluded.stopped_ms;
    insert into checkout.relays (shard) select s from generate_series(0, p_to - 1) s on conflict do nothing;
    update checkout.shards s set epoch = top + 1, owner = null where s.shards = p_from;     -- fences their owners off
end $$;

-- Items and waitlists get their new shards. An item's clock goes on where it was.
create or replace function checkout.move_items(p_from integer, p_to integer) returns void
language plpgsql as $$
begin
    update checkout.items i
       set shard = h.shard, stopped_ms = i.stopped_ms + a.ms, stopped_at = i.stopped_at + a.ms * interval '1 ms'
      from checkout.reshard_homes h,
           (select o.shard as old, n.shard as new,
                   greatest(0, ceil(extract(epoch from checkout.shard_clock(n) - checkout.shard_clock(o)) * 1000))::bigint as ms
              from checkout.shards o join checkout.shards n
                on n.shards = p_to and n.shard % least(p_from, p_to) = o.shard % least(p_from, p_to)
             where o.shards = p_from) a
     where h.sku = i.sku and a.old = i.shard and a.new = h.shard and (i.shard <> h.shard or a.ms > 0);
    update checkout.waitlist w set shard = h.shard from checkout.reshard_homes h where h.sku = w.sku and w.shard <> h.shard;
    update checkout.items_aside a set shard = h.shard from checkout.reshard_homes h where h.sku = a.sku and a.shard <> h.shard;
    update checkout.jobs_aside a set shard = h.shard from checkout.reshard_homes h where h.sku = a.sku and a.shard <> h.shard;
end $$;

-- What was asked of a whole shard has no meaning under another number.
create or replace function checkout.move_commands(p_to integer) returns void
language plpgsql as $$
begin
    update checkout.commands c
       set state = 'refused', result = 'the number of shards has changed: ask again', finished_at = now()
     where c.state = 'pending' and c.shard is not null and c.sku is null and c.order_id is null;
    update checkout.commands c
       set shard = coalesce(checkout.home_of(c.order_id),
                            (select i.shard from checkout.items i where i.sku = coalesce(c.sku, c.argument ->> 'sku')),
                            c.shard % p_to)
     where c.state = 'pending' and c.shard is not null;
end $$;

-- What keeps a change from being made now; null: nothing. Waits until p_until for the relays. The caller keeps all writers
-- out.
create or replace function checkout.cut_problem(r checkout.reshards, p_until timestamptz) returns text
language plpgsql as $$
declare
    problem constant text := checkout.reshard_problem(r.to_shards);
    behind integer;
begin
    if problem is not null then
        return problem;
    elsif exists (select 1 from checkout.homeless(1)) then
        return 'there are new items';
    end if;
    loop
        behind := checkout.unrelayed_shards(r.from_shards);
        if behind = 0 then
            return null;
        elsif clock_timestamp() > p_until then
            return format('events of %s shards are not published yet: is Redis there?', behind);
        end if;
        perform pg_sleep(0.01);
    end loop;
end $$;

-- Puts the new number into service, in one transaction: everything that is open goes to its new shard. Returns null, or
-- why it cannot be done now: nothing has changed then. It waits for writers that have begun, up to p_patience_ms for the
-- relays, and keeps all writers out meanwhile.
create or replace function checkout.move_shards(p_reshard bigint, p_patience_ms integer) returns text
language plpgsql security definer set search_path = '' as $$
declare
    r checkout.reshards;
    problem text;
begin
    perform set_config('lock_timeout', '2s', true);
    perform pg_advisory_xact_lock(checkout.reshard_lock());
    select * into strict r from checkout.reshards t where t.reshard_id = p_reshard for update;
    if r.state in ('moved', 'open', 'done') then
        return null;
    elsif r.state <> 'closed' then
        return 'it is ' || r.state;
    end if;
    perform 1 from checkout.shards s where s.shards = r.from_shards order by s.shard for update;
    problem := checkout.cut_problem(r, clock_timestamp() + p_patience_ms * interval '1 ms');
    if problem is not null then
        return problem;
    end if;
    perform set_config('lock_timeout', '300ms', true);      -- all writers wait for us
    perform checkout.make_shards(r.from_shards, r.to_shards);
    perform checkout.move_items(r.from_shards, r.to_shards);
    perform checkout.move_open_orders();
    update checkout.service v set shards = r.to_shards, streams = greatest(v.streams, v.shards, r.to_shards), since = now();
    perform checkout.move_commands(r.to_shards);
    update checkout.reshards t
       set state = 'moved', moved_at = clock_timestamp(), cut_event = nextval('checkout.event_ids')
     where t.reshard_id = p_reshard;
    perform pg_notify('checkout_commands', 'shards');
    return null;
exception when lock_not_available then
    return 'another session has locked a row that must move';
end $$;

-- Shards of the new number that no living member owns yet.
create or replace function checkout.unowned_shards(p_shards integer) returns integer
language sql stable as $$
    select count(*)::integer from checkout.shards s
     where s.shards = p_shards
       and (s.owner is null or not exists (select 1 from checkout.consumers c where c.member_id = s.owner))
$$;
