-- A consumer pages through the items of its own shards (checkout.page_of_items). The sum keeps this index from all other
-- queries, which find items by their SKU: over few rows they would walk a whole shard. Neither column of an item changes.
create index items_by_shard on checkout.items ((shard + 0), sku);
