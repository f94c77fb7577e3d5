-- An operator changes an item (kind set).
alter table checkout.commands
    drop constraint known_kind,
    add constraint known_kind
        check (kind in ('cancel', 'restock', 'set', 'pause', 'resume', 'resolve', 'refund', 'webhook'));
