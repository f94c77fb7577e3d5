-- Events tell what a buyer can do about a payment that failed: the relay reads two columns more.
drop function if exists checkout.unrelayed(integer, bigint, integer);
