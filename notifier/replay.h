/*
 * Sends sockets from PostgreSQL what the stream did not: the open orders of a buyer who connects,
 * and what happened while Redis was away. It reads pages, a few at once; the rest wait in a queue.
 */
#ifndef NOTIFIER_REPLAY_H
#define NOTIFIER_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "notifier/lag.h"
#include "notifier/session.h"
#include "notifier/stats.h"

struct replay;

/* Keeps a session with the database at `url`. When that leads to another server, all sessions of
 * `registry` (their owners are struct session) are replayed from what they had before. NULL: no
 * memory. */
struct replay *replay_new(struct loop *loop, const char *url, struct registry *registry,
                          struct stats *stats);
/* Forget all sessions first. NULL is allowed. */
void replay_free(struct replay *replay);
bool replay_ready(const struct replay *replay);
/* Watches at the same session for events that are not published in time; as lag_new. The caller's,
 * to be freed before this. */
struct lag *replay_watch_lag(struct replay *replay, void (*changed)(bool lagging, void *arg),
                             void *arg);

/* Its session with the database, for what else is asked there. */
struct pg *replay_session(const struct replay *replay);

/* A new session: `after_id` as in struct session_replay. It reads nothing before the request. */
void replay_welcome(struct session *session, int64_t after_id);
/* Replays what the session may have missed, now or when the database is back. Meanwhile live events
 * are held if the database is connected, else they flow. */
void replay_request(struct replay *replay, struct session *session);
/* The stream broke: what came until now counts, nothing after this. */
void replay_stream_lost(struct session *session);
/* The session's socket has drained. */
void replay_drained(struct replay *replay, struct session *session);
/* The session ends. */
void replay_forget(struct replay *replay, struct session *session);

#endif
