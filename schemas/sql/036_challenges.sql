-- Items that only a buyer may order whose token says that a challenge was passed.

alter table checkout.items
    add column challenge text,              -- which challenge, among those of the token's claim `human`; null: none
    drop constraint in_range,
    add constraint in_range check (
        held >= 0 and sold >= 0 and waiting >= 0 and stock >= 0 and limit_per_user > 0
        and price between 1 and 99999999999 and shard between 0 and 1023 and gate in ('none', 'soldout', 'lock')
        and char_length(title) between 1 and 200
        -- nothing is left of it without these characters
        and char_length(currency) = 3 and ltrim(currency, 'abcdefghijklmnopqrstuvwxyz') = ''
        and char_length(sku) between 1 and 64
        and ltrim(sku, '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._') = ''
        and (challenge is null or char_length(challenge) between 1 and 64
             and ltrim(challenge, '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._') = ''));

-- Producers read these each second.
create index items_by_challenge on checkout.items (sku) where challenge is not null;

alter table checkout.jobs_aside
    add column human text;                  -- the claim of the token that the order came with

-- A reason more. Rows that are there keep to the check before it, so nothing needs to read them.
alter table checkout.orders
    drop constraint orders_reason_check,
    add constraint known_reason check (reason in ('sold_out', 'payment_declined', 'payment_failed',
                        'limit_exceeded', 'unknown_item', 'not_on_sale', 'challenge_required', 'price_changed',
                        'expired', 'invalid')) not valid;

-- Their arguments change.
drop function if exists
    checkout.decide_jobs(integer, integer, bigint, bigint, uuid[], text[], text[], integer[], text[], text[], bigint[],
                         text[], timestamptz[], text[], text[], text[], text[]),
    checkout.judge_jobs(integer, integer, bigint, text[], uuid[], text[], text[], integer[], text[], text[], bigint[],
                        text[], timestamptz[], text[], text[], text[], text[]),
    checkout.decide_now(integer, integer, bigint, text[], uuid[], text[], text[], integer[], text[], text[], bigint[],
                        text[], timestamptz[], text[], text[], text[], text[]),
    checkout.put_aside(integer, text[], text, uuid[], text[], text[], integer[], text[], text[], bigint[], text[],
                       timestamptz[], text[], text[], text[], text[]),
    checkout.set_jobs_aside(integer, integer, bigint, text, uuid[], text[], text[], integer[], text[], text[], bigint[],
                            text[], timestamptz[], text[], text[], text[], text[]);
