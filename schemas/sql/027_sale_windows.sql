-- Doors read each second which sales begin next and which have ended. (Deciding changes neither column, so its
-- updates of items stay in their page.)
create index items_by_opening on checkout.items (opens_at) where opens_at is not null;
create index items_by_closing on checkout.items (closes_at) where closes_at is not null;
