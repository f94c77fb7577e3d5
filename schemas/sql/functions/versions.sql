-- Which programs this database serves (docs/upgrading.md). A program of a version outside the range is refused
-- when it begins a session, and when it takes a shard over.

-- The version rises by 1 with the first change since the last release after which a program needs something new
-- (DATABASE_VERSION in common/shop/database_version.h, of the programs made for it, is the same number). The oldest
-- program version is that of the last release, whose functions are in previous_release.sql.
create or replace function checkout.versions(out version integer, out oldest_program integer)
language sql immutable
return row(2, 1);

-- The first call of a session of a program of this version. Refused while the database is not known to be the newest
-- (checkout.refuse_older_database).
create or replace function checkout.greet(p_program integer, out version integer, out oldest_program integer)
language sql as $$
    select checkout.refuse_older_database();
    select set_config('checkout.program', p_program::text, false);
    select v.version, v.oldest_program from checkout.versions() v
$$;

-- Raises SQLSTATE CK004 in a session of a program that is not served, CK009 where the database is behind. Programs of
-- version 1 do not greet.
create or replace function checkout.refuse_unserved() returns void
language plpgsql as $$
declare
    program constant integer := coalesce(nullif(current_setting('checkout.program', true), '')::integer, 1);
    served record;
begin
    perform checkout.refuse_behind();
    select * into served from checkout.versions();
    if program not between served.oldest_program and served.version then
        raise exception 'the database serves programs of version % to %, and this one has version %; upgrade this program',
            served.oldest_program, served.version, program using errcode = 'CK004';
    end if;
end $$;
