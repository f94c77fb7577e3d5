-- These functions have one more parameter, with a default.
drop function if exists checkout.run_commands(integer, integer, bigint, integer);
drop function if exists checkout.expire_waiting(integer, integer, bigint, integer);
