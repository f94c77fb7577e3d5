-- What indexes have instead of times and ids, so that rows of about the same time share an entry. Conditions and orders of a
-- list name it, and the time or id itself as well; both are inlined.

-- The second of a time (054_seconds.sql): a later time never has an earlier one.
create or replace function checkout.second_of(p_at timestamptz) returns bigint
language sql immutable parallel safe
return extract(epoch from p_at at time zone 'UTC')::bigint;

-- The span of an event's id (056_spans_of_events.sql): a higher id never has a lower one.
create or replace function checkout.span_of(p_event bigint) returns bigint
language sql immutable parallel safe
return p_event >> 7;
