-- How the functions are planned, whatever the tables hold at the moment: a plan made while they were empty
-- must still be good with a million rows. So plans are generic and go by index. That holds for every function
-- in plpgsql: its statements keep their plans. Functions in sql are planned with their caller's settings.
--
-- Where jobs meet tables, index scans are off too, and only bitmap scans are left, which need a condition:
-- with the statistics of a quiet shop, whose tables have a page each, PostgreSQL would rather read such a
-- table whole by its index, and keep that plan into the sale. What these functions call goes by index again.

do $$
declare
    by_bitmap constant text[] := array['decide_jobs', 'decide_now', 'put_aside', 'move_orders', 'settle_payments', 'record_refunds', 'await_buyers',
                                        'gate_states'];
    by_index text;
    f record;
begin
    for f in
        select p.oid::regprocedure as function, p.proname
          from pg_proc p join pg_language l on l.oid = p.prolang
         where p.pronamespace = 'checkout'::regnamespace and l.lanname = 'plpgsql' and p.prokind = 'f'
         order by p.oid
    loop
        by_index := case when f.proname = any (by_bitmap) then 'off' else 'on' end;
        execute format('alter function %s set enable_seqscan = off', f.function);
        execute format('alter function %s set enable_hashjoin = off', f.function);
        execute format('alter function %s set enable_mergejoin = off', f.function);
        execute format('alter function %s set enable_indexscan = %s', f.function, by_index);
        execute format('alter function %s set enable_indexonlyscan = %s', f.function, by_index);
        execute format('alter function %s set plan_cache_mode = force_generic_plan', f.function);
        execute format('alter function %s set jit = off', f.function);
    end loop;
    -- Pages are read in the order of an index, which ends when they are full: orders of an item and a time may be many more
    -- than PostgreSQL expects, and a sort or a bitmap would read all.
    execute 'alter function checkout.console_orders set enable_sort = off';
    execute 'alter function checkout.console_orders set enable_bitmapscan = off';
    -- So are the newest of many orders, of which a sort or a bitmap would read all of the last 10 s, and a shard's events from one
    -- on, of which they would read all.
    foreach by_index in array array['delays_now', 'sales_now', 'hot_items', 'unrelayed', 'relay_lags', 'show_shards', 'show_ahead',
                                    'feed', 'feed_end', 'orders_after'] loop
        execute format('alter function checkout.%I set enable_sort = off', by_index);
        execute format('alter function checkout.%I set enable_bitmapscan = off', by_index);
    end loop;
end $$;
