-- What the gateway tells by its webhooks: hints, and how they fare.

-- So many webhooks were taken, and refused, since the last call of that producer.
create or replace function checkout.note_webhooks(p_taken bigint, p_refused bigint, p_why text) returns void
language sql security definer set search_path = '' as $$
    insert into checkout.webhook_counts as w (taken, taken_at, refused, refused_at, refused_why)
    values (p_taken, case when p_taken > 0 then now() end, p_refused, case when p_refused > 0 then now() end, p_why)
        on conflict (only_row) do update
       set taken = w.taken + excluded.taken, taken_at = coalesce(excluded.taken_at, w.taken_at),
           refused = w.refused + excluded.refused, refused_at = coalesce(excluded.refused_at, w.refused_at),
           refused_why = coalesce(excluded.refused_why, w.refused_why)
$$;
