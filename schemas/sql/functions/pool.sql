-- The members of the pool: joining, heartbeats, leaving.

-- Class of the session advisory locks that members hold, the member's id being the object.
create or replace function checkout.member_lock_class() returns integer
language sql immutable return 1128811599;

-- Whether a session of this database holds the member's lock: its process lives, or it is frozen.
create or replace function checkout.member_locked(p_member bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from pg_locks k
         where k.locktype = 'advisory' and k.granted and k.objsubid = 2
           and k.classid = checkout.member_lock_class()::oid and k.objid = p_member::oid
           and k.database = (select d.oid from pg_database d where d.datname = current_database()))
$$;

-- A new member. Forgets those that are gone: without their lock, and without a heartbeat for a minute. (Should
-- a jump of the clock meet a member between two sessions, it joins again.)
create or replace function checkout.join_pool(p_name text, p_host text, p_pid integer, p_version text,
                                              p_shards_set integer default null)
returns bigint
language plpgsql as $$
declare
    id bigint;
begin
    delete from checkout.consumers c
     where c.heartbeat_at < now() - interval '1 minute' and not checkout.member_locked(c.member_id);
    insert into checkout.consumers (name, host, pid, version, shards_set)
      values (p_name, p_host, p_pid, p_version, p_shards_set)
      returning member_id into id;
    perform pg_advisory_lock(checkout.member_lock_class(), id::integer);
    return id;
end $$;

-- One heartbeat; takes the member's lock again after a lost session. It does not wait for it: the server may
-- not have noticed yet that the session before is gone, and until then that one still holds it.
-- Returns the members, whether each holds its lock, and those of which something is known first.
-- No row of its own: it was taken for dead and removed, and has to join again. p_not_ready: what it lacks, for people.
-- p_node: the RabbitMQ node that it is connected to, null: none.
create or replace function checkout.heartbeat(p_member bigint, p_ready boolean, p_backends integer[],
                                              p_not_ready text, p_node text default null)
returns table (member_id bigint, name text, heartbeats bigint, ready boolean, locked boolean)
language plpgsql as $$
begin
    if not exists (select 1 from pg_locks k
                    where k.locktype = 'advisory' and k.pid = pg_backend_pid()
                      and k.classid = checkout.member_lock_class()::oid and k.objid = p_member::oid) then
        perform pg_try_advisory_lock(checkout.member_lock_class(), p_member::integer);
    end if;
    update checkout.consumers c
       set heartbeats = c.heartbeats + 1, ready = p_ready, backend_pids = p_backends, heartbeat_at = now(),
           node = p_node,
           not_ready = case when not p_ready then rtrim(replace(p_not_ready, E'\n', '; '), '; ') end
     where c.member_id = p_member;
    return query
    with held as materialized (
        select k.objid::bigint as member_id from pg_locks k
         where k.locktype = 'advisory' and k.granted and k.objsubid = 2
           and k.classid = checkout.member_lock_class()::oid
           and k.database = (select d.oid from pg_database d where d.datname = current_database()))
    select c.member_id, c.name, c.heartbeats, c.ready, l.locked
      from checkout.consumers c
      cross join lateral (select exists (select 1 from held h where h.member_id = c.member_id)) as l(locked)
     order by c.member_id = p_member desc, l.locked desc, c.heartbeat_at desc;
end $$;

-- A member leaves.
create or replace function checkout.leave_pool(p_member bigint) returns void
language sql as $$
    delete from checkout.consumers where member_id = p_member
$$;
