-- These functions have other names now: checkout.expired_waitlists, checkout.items_with_waitlist. Only functions
-- of this schema called them. The task settle_line is settle_waitlist.
drop function if exists checkout.expired_lines(integer, integer[]);
drop function if exists checkout.lined_items(integer[]);
drop function if exists checkout.settle_line_task(text);
drop function if exists checkout.give_back_late(uuid, text, bigint);
drop function if exists checkout.given_back(text);
