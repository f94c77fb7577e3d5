-- The money of a refund that failed may go back outside of the gateway: an operator says so.
alter table checkout.refunds
    add column outside boolean not null default false;  -- it did, and what the gateway shows changes nothing any more
