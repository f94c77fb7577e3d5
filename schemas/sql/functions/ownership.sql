-- Who may write a shard: the fence, taking a shard over and giving it back, and what is in service.
--
-- All writing functions begin with checkout.fence, and a caller sends each as one statement, which is one
-- transaction.

-- Locks the shard for this transaction, and refuses a writer whose epoch is over (SQLSTATE CK001). What the
-- transaction appends to order_events carries the epoch. The shard's row is no item's: where another session keeps it
-- for too long, that has an SQLSTATE of its own (CK005). From here on the transaction waits for no lock for longer
-- than 100 ms, so that what is locked delays others briefly.
create or replace function checkout.fence(p_shards integer, p_shard integer, p_epoch bigint) returns void
language plpgsql as $$
begin
    perform 1 from checkout.shards
      where shards = p_shards and shard = p_shard and epoch = p_epoch
      for no key update skip locked;
    if not found and not checkout.fence_after_wait(p_shards, p_shard, p_epoch) then
        raise exception 'shard % of %: epoch % is over', p_shard, p_shards, p_epoch using errcode = 'CK001';
    end if;
    perform set_config('checkout.epoch', p_epoch::text, true), set_config('lock_timeout', '100ms', true);
end $$;

-- The same where the row is locked by another session: waits for it. Returns whether the epoch goes on.
create or replace function checkout.fence_after_wait(p_shards integer, p_shard integer, p_epoch bigint) returns boolean
language plpgsql as $$
begin
    perform 1 from checkout.shards s where s.shards = p_shards and s.shard = p_shard and s.epoch = p_epoch for no key update;
    return found;
exception when query_canceled or lock_not_available then
    raise exception 'another session keeps the row of shard % of % locked', p_shard, p_shards using errcode = 'CK005';
end $$;

-- Puts N shards into service. Another N than the one in service is refused (SQLSTATE CK002).
create or replace function checkout.serve_shards(p_shards integer) returns void
language plpgsql as $$
declare
    serving integer;
begin
    insert into checkout.service (shards, streams) values (p_shards, p_shards) on conflict do nothing;
    select shards into serving from checkout.service for update;
    if exists (select 1 from checkout.reshards where state not in ('done', 'undone')) then
        raise exception 'the number of shards is being changed: run `checkoutctl reshard` again' using errcode = 'CK002';
    end if;
    if serving <> p_shards then
        raise exception '% shards are in service, not %', serving, p_shards using errcode = 'CK002';
    end if;
    insert into checkout.shards (shards, shard)
      select p_shards, s from generate_series(0, p_shards - 1) s
      on conflict do nothing;
    insert into checkout.relays (shard)
      select s from generate_series(0, p_shards - 1) s
      on conflict do nothing;
end $$;

-- Remembers the fingerprint of the secret of order ids; another one later is refused (SQLSTATE CK003).
create or replace function checkout.keep_secret(p_fingerprint text) returns void
language plpgsql as $$
declare
    kept text;
begin
    update checkout.service set secret_fingerprint = coalesce(secret_fingerprint, p_fingerprint)
      returning secret_fingerprint into kept;
    if kept is null then
        raise exception 'no shards are in service yet' using errcode = 'CK002';
    elsif kept <> p_fingerprint then
        raise exception 'order ids are made with another secret than before' using errcode = 'CK003';
    end if;
end $$;

-- Takes a shard over: from here on, whoever held it before is fenced off. Waits for a transaction of
-- theirs that has begun. p_seen: the epoch that the caller decided by; if the shard has moved on since, and
-- not to the caller, nothing happens and the epoch is null. p_seen null: takes it over in any case.
-- No row: the shard is not of the topology in service, or not any more: checkout.move_shards may be what it waited for,
-- so that is read when the row is locked. A program that the database does not serve (any more) is refused
-- (SQLSTATE CK004).
create or replace function checkout.take_over(p_shards integer, p_shard integer, p_member bigint, p_seen bigint)
returns table (epoch bigint, relayed_to bigint)
language sql as $$
    select checkout.refuse_unserved();
    select 1 from checkout.shards s join checkout.service v on v.shards = s.shards
      where s.shards = p_shards and s.shard = p_shard and (p_seen is null or s.epoch = p_seen or s.owner = p_member)
      for no key update of s;
    with taken as (
        update checkout.shards s
           set epoch = s.epoch + 1, owner = p_member, taken_at = now()
          from checkout.service v, checkout.relays r
         where s.shards = p_shards and s.shard = p_shard and v.shards = p_shards and r.shard = p_shard
           and (p_seen is null or s.epoch = p_seen or s.owner = p_member)
        returning s.epoch, r.relayed_to),
    noted as (
        insert into checkout.take_overs (shards, shard, epoch, member, name)
        select p_shards, p_shard, t.epoch, p_member,
               (select c.name from checkout.consumers c where c.member_id = p_member)
          from taken t)
    select t.epoch, t.relayed_to from taken t
    union all
    select null, null from checkout.service v where v.shards = p_shards and not exists (select 1 from taken)
$$;

-- Gives a shard back, if it is still ours.
create or replace function checkout.release(p_shards integer, p_shard integer, p_epoch bigint) returns boolean
language sql as $$
    with released as (
        update checkout.shards set owner = null
         where shards = p_shards and shard = p_shard and epoch = p_epoch
        returning 1),
    noted as (
        update checkout.take_overs t set released_at = clock_timestamp()
          from released
         where t.shards = p_shards and t.shard = p_shard and t.epoch = p_epoch)
    select exists (select 1 from released)
$$;

-- Ends what keeps a take-over waiting in session p_waiting: consumers' sessions that hold the row, and all
-- those of the owner p_owner, which is dead (null: it is not). Others that wait to take over are left alone, and
-- so are those that have committed and wait for a replica (SyncRep): ending them would show a commit that a
-- failover loses. A request that comes late, when p_waiting does not wait any more, ends no session.
create or replace function checkout.free_shard(p_waiting integer, p_owner bigint) returns integer
language sql as $$
    select count(*) filter (where pg_terminate_backend(a.pid))::integer
      from pg_stat_activity a
     where a.application_name like 'checkout-consumer%' and a.pid <> p_waiting
       and a.datname = current_database()
       and not (a.wait_event_type is not distinct from 'Lock' and a.query like '%checkout.take_over(%')
       and a.wait_event is distinct from 'SyncRep'
       and cardinality(pg_blocking_pids(p_waiting)) > 0
       and (a.pid = any (pg_blocking_pids(p_waiting))
            or a.pid in (select unnest(c.backend_pids) from checkout.consumers c where c.member_id = p_owner))
$$;
