-- An order is inserted reserved and updated once, when it ends. Half of each page stays free for that, so that each
-- of these updates stays in its page (HOT) and touches none of the five indexes. Pages that are there stay as they are.
alter table checkout.orders set (fillfactor = 50);
