/* What the database reports of a shard's orders, counted and logged. */
#ifndef CONSUMER_SHARD_SHARD_NEWS_H
#define CONSUMER_SHARD_SHARD_NEWS_H

#include "consumer/news.h"
#include "consumer/stats.h"

void shard_news_record(struct stats *stats, const struct news *news);
/* The item that an operator's command or a refund has changed; NULL: none. */
const char *shard_news_item(const struct news *news);

#endif
