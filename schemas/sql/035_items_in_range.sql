-- Every update of an item checks all its columns again, two of them by a regular expression. That was a tenth of what
-- an order costs. One constraint says the same without one: it is read, planned and evaluated once.
do $$
declare
    name text;
begin
    for name in
        select conname from pg_constraint
         where conrelid = 'checkout.items'::regclass and contype = 'c' and conname <> 'never_oversold' order by conname
    loop
        execute format('alter table checkout.items drop constraint %I', name);
    end loop;
end $$;

alter table checkout.items add constraint in_range check (
    held >= 0 and sold >= 0 and waiting >= 0 and stock >= 0 and limit_per_user > 0
    and price between 1 and 99999999999 and shard between 0 and 1023 and gate in ('none', 'soldout', 'lock')
    and char_length(title) between 1 and 200
    -- nothing is left of it without these characters
    and char_length(currency) = 3 and ltrim(currency, 'abcdefghijklmnopqrstuvwxyz') = ''
    and char_length(sku) between 1 and 64
    and ltrim(sku, '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._') = '');
