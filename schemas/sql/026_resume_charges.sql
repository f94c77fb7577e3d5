-- It takes the payment to go on behind.
drop function if exists checkout.resume_charges(integer[], bigint, integer);
