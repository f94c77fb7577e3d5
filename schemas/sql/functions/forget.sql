-- Forgetting a customer: a random name takes the place of theirs, wherever it stands. Orders stay, and so do the sums.

create or replace function checkout.digest_of(p_user text, p_salt text) returns bytea
language sql stable
return sha256(convert_to(p_salt || p_user, 'UTF8'));

create or replace function checkout.buyer_digest(p_user text) returns bytea
language sql stable
return (select checkout.digest_of(p_user, s.salt::text) from checkout.forget_salt s);

-- Why a customer cannot be forgotten now; null: nothing is open.
create or replace function checkout.open_of_customer(p_user text) returns text
language plpgsql stable as $$
begin
    if exists (select 1 from checkout.orders o
                where hashtext(o.user_id) = hashtext(p_user) and o.user_id = p_user and o.status in ('waiting', 'reserved')) then
        return 'an order of theirs is open';
    elsif exists (select 1 from checkout.jobs_aside a where a.user_id = p_user) then
        return 'a job of theirs is set aside';
    elsif exists (select 1 from checkout.commands c where c.state = 'pending' and c.user_id = p_user) then
        return 'a cancel of theirs is pending';
    end if;
    return null;
end $$;

create or replace function checkout.begin_forget(p_user text, p_requested_by text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    problem constant text := checkout.open_of_customer(p_user);
    id bigint;
begin
    if problem is not null then
        raise exception '%', problem using errcode = 'CK007';
    end if;
    insert into checkout.forgets (requested_by) values (p_requested_by) returning forget_id into id;
    return id;
end $$;

-- Gives up to p_limit orders of a customer, all of one shard, another name. Refused (SQLSTATE CK007) while something of
-- theirs is open. The shard's row keeps its owner out meanwhile.
--   orders   how many; 0: none is left, and what was counted of purged orders has the other name, too
--   busy     the owner was at work for longer than 100 ms: try again
create or replace function checkout.forget_orders(p_forget bigint, p_user text, p_name text, p_limit integer,
                                                  out orders integer, out busy boolean)
language plpgsql security definer set search_path = '' as $$
declare
    problem text;
    homes integer[];
    ids uuid[];
    skus text[];            -- of what is counted of purged orders; these two are found by walking over whole tables,
    commands bigint[];      -- so without a lock
begin
    orders := 0;
    busy := false;
    homes := array(select o.shard from checkout.orders o
                    where hashtext(o.user_id) = hashtext(p_user) and o.user_id = p_user order by o.created_at limit 1);
    if cardinality(homes) = 0 then
        skus := array(select t.sku from checkout.customer_units t where t.user_id = p_user);
        commands := array(select c.command_id from checkout.commands c where c.user_id = p_user);
        homes := array(select distinct i.shard from checkout.items i where i.sku = any (skus));
    end if;
    if not checkout.keep_owners_out(homes) then
        busy := true;
        return;
    end if;
    problem := checkout.open_of_customer(p_user);
    if problem is not null then
        raise exception '%', problem using errcode = 'CK007';
    end if;
    if skus is not null then
        if exists (select 1 from checkout.orders o where hashtext(o.user_id) = hashtext(p_user) and o.user_id = p_user) then
            busy := true;   -- one has come meanwhile
            return;
        end if;
        perform checkout.rename_counts(skus, p_user, p_name);
        update checkout.commands c set user_id = p_name where c.command_id = any (commands);
        update checkout.forgets f set finished_at = now() where f.forget_id = p_forget;
        return;
    end if;
    ids := array(select o.order_id from checkout.orders o
                  where hashtext(o.user_id) = hashtext(p_user) and o.user_id = p_user and o.shard = homes[1]
                  order by o.created_at limit p_limit);
    orders := cardinality(ids);
    if orders = 0 then
        busy := true;       -- they have gone to another shard meanwhile
        return;
    end if;
    perform checkout.rename_orders(ids, p_user, p_name);
    update checkout.payments p set action = null where p.order_id = any (ids) and p.action is not null;
    update checkout.refunds r set note = null where r.order_id = any (ids) and r.note is not null;
    update checkout.mails m set problem = null where m.order_id = any (ids) and m.problem is not null;
    update checkout.mails m set state = 'dropped', problem = 'forgotten', ended_at = now()
     where m.order_id = any (ids) and m.state || '' = 'due';
    update checkout.hook_deliveries d set answer = null, problem = null
     where d.order_id = any (ids) and (d.answer is not null or d.problem is not null);
    update checkout.requests q set note = null, wish = q.wish - 'note'      -- a repeat is refused from now on
     where q.order_id is not null and q.order_id = any (ids) and (q.note is not null or q.wish ? 'note');
    update checkout.commands c
       set user_id = case when c.user_id is not null then p_name end,
           argument = case when c.argument ? 'user' then c.argument - 'reference' - 'fingerprint' || jsonb_build_object('user', p_name)
                           else c.argument - 'note' end
     where c.order_id is not null and c.state <> 'pending' and c.order_id = any (ids);
    update checkout.forgets f set orders = f.orders + cardinality(ids) where f.forget_id = p_forget;
end $$;
