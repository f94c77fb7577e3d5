-- What PostgreSQL writes into its own log.

-- From the next session on, PostgreSQL shows neither rows nor parameters of this database in its log:
-- payment methods and addresses are among them. Belongs to the database and not to its tables (copies and
-- dumps lack it), so migrate calls it each time. False: only a superuser may.
create or replace function checkout.keep_rows_out_of_the_log() returns boolean
language plpgsql as $$
declare
    setting text;
begin
    foreach setting in array array['log_error_verbosity = terse', 'log_parameter_max_length = 0',
                                   'log_parameter_max_length_on_error = 0'] loop
        execute format('alter database %I set %s', current_database(), setting);
    end loop;
    return true;
exception
    when insufficient_privilege then return false;
end $$;
