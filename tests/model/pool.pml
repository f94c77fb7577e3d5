/*
 * pool.pml: one shard of the consumer pool: broker, two members, their database sessions. Checked by
 * ./run (Spin 6). README.md beside it says which function or SQL each step stands for.
 *
 * Jobs are numbered in queue order; a set of jobs, or of events, is a bit mask.
 * Every step changes the state. ./run also shows that the model has no cycle: so every run ends,
 * without any assumption of fairness, and what holds at the end ("Quiet") is eventually true.
 *
 * Left out on purpose: item row locks and the key of `orders` (the fence alone must be enough),
 * payments and cancels (payments.pml), beats (a frozen owner may be taken for dead at any moment).
 *
 * Who is named: any member may think at any time that another one is (a yield counts as a fault).
 * With -DNAMED the ranking is known to both, changes as a fault, and yields and take-overs follow it:
 * then the shard also ends with its named owner.
 *
 * A plant (-DNAME) breaks one rule and must give a counterexample:
 *   CANCEL       hand over by basic.cancel             NO_FENCE    write without looking at the epoch
 *   NACK         nack(requeue) to retry                NO_LOCK     look, but without locking the row
 *   ACK_EARLY    ack before commit                     NO_BUMP     take over without a new epoch
 *   RELAY_EARLY  advance the mark before publishing    KEEP_EPOCH  keep the epoch in a new session, and
 *   PREFETCH     members with different windows                    lock FOR SHARE, which lets both pass
 *   BLIND        (NAMED) yield to a member that is not ready
 */
#define JOBS    2
#define FAULTS  2
#define MEMBERS 2
#define SLOTS   (MEMBERS + FAULTS)        /* database sessions: one per member, then one per lost session */
#define NOBODY  255
#define ANY     0                         /* of a take-over: whatever the epoch is */
#define OLD     1                         /* epochs: only equality with the shard's matters, */
#define CURRENT 2                         /* so a bump turns every older number into OLD; 0: none */
#ifndef PREFETCH
#define PREFETCH JOBS                     /* the window of member 1; that of member 0 is JOBS */
#endif
#define room    (len(mine[serving]) < (serving == 0 -> JOBS : PREFETCH))
#define consumes(m) (linked[m] && !cancelled[m])
#ifdef NAMED
#define ready(m) (linked[m] && !frozen[m])
#define named   (ready(first) -> first : (ready(1 - first) -> 1 - first : NOBODY))
/* Time, as far as it is relied on: a beat is a second, a take-over milliseconds, and a member yields only
   what it has served for two beats. So by then the other one has its answer, and has looked since. */
#define beat(m) (tx[1 - m] != BUMP && tx[1 - m] != BUMPED && (frozen[1 - m] || my_epoch[1 - m] != OLD))
#define is_named(m) (named == m && beat(m))
#else
#define is_named(m) (true)
#endif

#if defined(KEEP_EPOCH) || defined(NO_LOCK)
#define may_lock true
#else
#define may_lock (holders == 0)
#endif
#ifdef BLIND
#define must_yield(m) (first != m && beat(m))
#else
#define must_yield(m) (named != m && named != NOBODY && beat(m))
#endif

/* RabbitMQ: a quorum queue with a single active consumer */
chan waiting  = [JOBS] of { byte };       /* published, in order */
chan returned = [JOBS] of { byte };       /* taken back from closed channels; delivered before `waiting` */
bit  linked[MEMBERS];                     /* the broker holds the member's channel for open */
bit  cancelled[MEMBERS];                  /* ... but it consumes no more (plant CANCEL) */
byte serving = NOBODY;                    /* the single active consumer */
byte acked;                               /* jobs the broker has forgotten */

/* Members: what each process has in memory */
mtype:mode = { SERVE, STOP, RELEASED }    /* a yield: stop taking, release the shard, close the channel */
mtype:mode mode[MEMBERS] = SERVE;
chan mine[MEMBERS] = [JOBS] of { byte };  /* unacked deliveries in order; while linked, the broker's view too */
bit  open[MEMBERS], frozen[MEMBERS];      /* open: the member holds its channel for open */
byte my_epoch[MEMBERS];                   /* OLD or CURRENT: it thinks it owns the shard */
byte served[MEMBERS];                     /* the epoch that it had when it lost its session, to take over again */
byte batch[MEMBERS];                      /* deliveries to ack when the call in flight has committed */
byte todo[MEMBERS];                       /* committed events it has to publish */
byte top[MEMBERS];                        /* the mark to write next; 0: none */
byte first;                               /* the member that the ranking prefers (NAMED) */

/* PostgreSQL: the tables; each session's one request, which the server ends whatever the client does */
byte owner = NOBODY;                      /* shards (whose epoch is CURRENT by definition) */
byte decided;                             /* orders */
byte events, next_event;                  /* order_events: the committed ids; its sequence */
byte mark;                                /* relays: ids below it are published */
byte holders;                             /* transactions that hold the lock on the shard's row */
mtype:tx = { IDLE, BUMP, BUMPED, MOVED, DECIDE, LOCKED, COMMITTED, REFUSED }
mtype:tx tx[SLOTS] = IDLE;
byte tx_epoch[SLOTS], tx_look[SLOTS], tx_jobs[SLOTS], tx_new[SLOTS], tx_event[SLOTS];

byte published;                           /* Redis: events seen there at least once */
byte faults = FAULTS;                     /* how many may still happen */
hidden byte i, j;

inline broker_serve() {                   /* picks the active consumer and fills its window */
  serving = (serving != NOBODY -> serving : (consumes(0) -> 0 : (consumes(1) -> 1 : NOBODY)));
  do
  :: serving != NOBODY && room && len(returned) > 0 -> returned?j; mine[serving]!j
  :: serving != NOBODY && room && len(returned) == 0 && len(waiting) > 0 -> waiting?j; mine[serving]!j
  :: else -> break od;
  j = 0                                   /* (a d_step must not end in a loop) */
}
inline broker_closed(m) {                 /* unacked messages go to the tail of `returned`, in order */
  if :: linked[m] ->
     for (i : 1 .. len(mine[m])) { mine[m]?j; mine[m]!j; returned!j }
     linked[m] = 0; cancelled[m] = 0; serving = (serving == m -> NOBODY : serving); broker_serve()
  :: else -> skip fi
}
inline forget_channel(m) {                /* deliveries and tags of a closed channel are void */
  do :: len(mine[m]) > 0 -> mine[m]?j :: else -> break od;
  open[m] = 0; batch[m] = 0
}
inline drop(m) {                          /* close the channel, own nothing */
  broker_closed(m); forget_channel(m);
  my_epoch[m] = 0; served[m] = 0; todo[m] = 0; top[m] = 0; mode[m] = SERVE
}
inline ack(m) {                           /* `batch` is the head of `mine` */
  do
  :: len(mine[m]) > 0 -> mine[m]?<j>;
     if :: (batch[m] >> j) & 1 -> mine[m]?j; acked = (linked[m] -> acked | (1 << j) : acked) :: else -> break fi
  :: else -> break od;
  assert((acked & ~decided) == 0);        /* no acked job is undecided */
  broker_serve()
}
inline send_bump(m, look) { tx[m] = BUMP; tx_look[m] = look }
inline send_decide(m, count) {            /* the first `count` of mine */
  for (i : 1 .. len(mine[m])) { mine[m]?j; mine[m]!j; batch[m] = batch[m] | ((i <= count) << j) }
  tx[m] = DECIDE; tx_epoch[m] = my_epoch[m]; tx_jobs[m] = batch[m];
#ifdef ACK_EARLY
  ack(m)
#endif
}
inline set_top(m) { top[m] = 0; do :: todo[m] >> top[m] -> top[m]++ :: else -> break od; j = 0 }
inline clear(s) { tx[s] = IDLE; tx_epoch[s] = 0; tx_look[s] = 0; tx_jobs[s] = 0; tx_new[s] = 0; tx_event[s] = 0 }
inline lose_session(m) {                  /* a fault: what is in flight lives on in a session nobody reads */
  faults--;
  if :: tx[m] == BUMP || tx[m] == DECIDE || tx[m] == LOCKED ->
     i = MEMBERS + faults; tx[i] = tx[m]; tx_look[i] = tx_look[m];
     tx_epoch[i] = tx_epoch[m]; tx_jobs[i] = tx_jobs[m]; tx_new[i] = tx_new[m]; tx_event[i] = tx_event[m]
  :: else -> skip fi;
  clear(m); batch[m] = 0;
  owner = (owner == m -> NOBODY : owner)  /* its session lock is gone, so it counts as dead */
}
inline unlock() { holders = (holders -> holders - 1 : 0) }
inline answer(s, result) {
  tx[s] = result; tx_jobs[s] = 0; tx_look[s] = 0; tx_epoch[s] = (result == BUMPED -> CURRENT : 0);
  if :: s >= MEMBERS -> clear(s) :: else -> skip fi       /* nobody reads it */
}

proctype Session(byte s) {
end: do
  :: d_step { tx[s] == BUMP && holders == 0 ->            /* waits for the lock; then is it still as it was seen? */
       if :: tx_look[s] == OLD -> answer(s, MOVED)
       :: else ->
#ifndef NO_BUMP
          for (i : 0 .. MEMBERS - 1) { my_epoch[i] = (my_epoch[i] -> OLD : 0); served[i] = (served[i] -> OLD : 0) }
          for (i : 0 .. SLOTS - 1)   { tx_epoch[i] = (tx_epoch[i] -> OLD : 0); tx_look[i] = (tx_look[i] -> OLD : 0) }
#endif
          owner = (s < MEMBERS -> s : NOBODY); answer(s, BUMPED) fi }
  :: d_step { tx[s] == DECIDE && may_lock ->              /* the lock, the fence, then who is new */
       if
#ifndef NO_FENCE
       :: tx_epoch[s] != CURRENT -> answer(s, REFUSED)
#endif
       :: else ->
#ifndef NO_LOCK
          holders++;
#endif
          tx[s] = LOCKED; tx_new[s] = tx_jobs[s] & ~decided; tx_jobs[s] = 0;    /* already known: a no-op */
          if :: tx_new[s] -> tx_event[s] = next_event; next_event++ :: else -> skip fi fi }
  :: d_step { tx[s] == LOCKED ->                          /* ... and commits */
       if :: tx_new[s] ->
          assert(tx_epoch[s] == CURRENT);                 /* no write is committed under an old epoch, */
          assert((tx_new[s] & decided) == 0);             /* each job is decided once, */
          decided = decided | tx_new[s];
          assert((decided & (decided + 1)) == 0);         /* in queue order, */
          assert((events >> tx_event[s]) == 0);           /* and event ids are in commit order */
          events = events | (1 << tx_event[s])
       :: else -> skip fi;
       unlock(); answer(s, COMMITTED) }
  :: d_step { tx[s] == LOCKED && s >= MEMBERS -> unlock(); answer(s, REFUSED) }   /* ... or, orphaned, rolls back */
  od
}

proctype Member(byte m) {
end: do
  :: d_step { !frozen[m] && !open[m] -> open[m] = 1; linked[m] = 1; broker_serve() }
  :: d_step { !frozen[m] && open[m] && !linked[m] -> forget_channel(m) }        /* notices the loss */
  /* takes the shard over: (a) it is fed; it is named, and (b) nobody owns it or (c) its owner is dead or
     taken for dead; or it served it when it lost its session */
  :: d_step { !frozen[m] && my_epoch[m] == 0 && tx[m] == IDLE && mode[m] == SERVE && served[m] == 0 &&
              len(mine[m]) > 0 -> send_bump(m, ANY) }
  :: d_step { !frozen[m] && my_epoch[m] == 0 && tx[m] == IDLE && mode[m] == SERVE && served[m] == 0 &&
              is_named(m) && (owner == NOBODY || (owner != m && frozen[owner])) -> send_bump(m, CURRENT) }
  :: d_step { !frozen[m] && my_epoch[m] == 0 && tx[m] == IDLE && served[m] -> send_bump(m, served[m]) }
  :: d_step { !frozen[m] && tx[m] == BUMPED ->
       my_epoch[m] = tx_epoch[m]; served[m] = 0; clear(m); todo[m] = (events >> mark) << mark }  /* what is not relayed */
  :: d_step { !frozen[m] && tx[m] == MOVED -> clear(m);
       if :: served[m] -> drop(m) :: else -> skip fi }    /* what it has in memory is of an epoch that is over */
  /* decides: all it has, or the first; one call at a time */
  :: d_step { !frozen[m] && my_epoch[m] && tx[m] == IDLE && mode[m] == SERVE && len(mine[m]) > 0 -> send_decide(m, JOBS) }
  :: d_step { !frozen[m] && my_epoch[m] && tx[m] == IDLE && mode[m] == SERVE && len(mine[m]) > 1 -> send_decide(m, 1) }
  :: d_step { !frozen[m] && tx[m] == COMMITTED ->
       if :: tx_new[m] -> todo[m] = todo[m] | (1 << tx_event[m]) :: else -> skip fi;
       ack(m); batch[m] = 0; clear(m) }
  :: d_step { !frozen[m] && tx[m] == REFUSED -> clear(m); drop(m) }             /* fenced off */
#ifndef NO_BUMP
  :: d_step { !frozen[m] && my_epoch[m] == OLD && tx[m] == IDLE -> drop(m) }    /* ... or sees it at its next look */
#endif
  /* relays: publish, then advance the mark (not fenced: at worst it goes back) */
#ifdef RELAY_EARLY
  :: d_step { !frozen[m] && todo[m] && !top[m] -> set_top(m); mark = top[m] }
  :: d_step { !frozen[m] && top[m] -> published = published | todo[m]; todo[m] = 0; top[m] = 0 }
#else
  :: d_step { !frozen[m] && todo[m] && !top[m] -> published = published | todo[m]; set_top(m); todo[m] = 0 }
  :: d_step { !frozen[m] && top[m] -> mark = (top[m] > mark -> top[m] : mark); top[m] = 0 }
#endif
  /* yields: finishes, releases the shard, then closes the channel */
#ifdef NAMED
  :: d_step { !frozen[m] && my_epoch[m] && mode[m] == SERVE && must_yield(m) -> mode[m] = STOP }
#endif
  :: d_step { !frozen[m] && mode[m] == STOP && tx[m] == IDLE && !todo[m] && !top[m] ->
       owner = (my_epoch[m] == CURRENT -> NOBODY : owner); my_epoch[m] = 0; mode[m] = RELEASED }
  :: d_step { !frozen[m] && mode[m] == RELEASED -> drop(m) }
  od
}

proctype Fault(byte m) {
end: do
  :: d_step { faults -> lose_session(m); drop(m); frozen[m] = 0 }               /* crash, and a clean restart */
  :: d_step { faults && !frozen[m] -> faults--; frozen[m] = 1 }
  :: d_step { frozen[m] && linked[m] -> broker_closed(m) }                      /* the broker gives it up, or not */
  :: d_step { frozen[m] -> frozen[m] = 0 }
  :: d_step { faults && (tx[m] != IDLE || my_epoch[m]) ->                       /* the database connection alone */
#ifndef KEEP_EPOCH
       /* an epoch belongs to one session: take over again, or if it was yielding, begin anew */
       if :: mode[m] != SERVE -> drop(m)
       :: else -> served[m] = my_epoch[m]; my_epoch[m] = 0; todo[m] = 0; top[m] = 0 fi;
#endif
       lose_session(m) }
#ifdef NAMED
  :: d_step { m == 0 && faults -> faults--; first = 1 - first }                 /* the ranking changes */
#else
  :: d_step { faults && my_epoch[m] && mode[m] == SERVE -> faults--;            /* no longer first: yields */
#ifdef CANCEL
       cancelled[m] = linked[m]; serving = (serving == m -> NOBODY : serving); broker_serve();
#endif
       mode[m] = STOP }
#endif
#ifdef NACK
  :: d_step { faults && linked[m] && tx[m] == IDLE && len(mine[m]) > 0 -> faults--; mine[m]?j; waiting!j; broker_serve() }
#endif
  :: d_step { m == 0 && faults -> faults = 0 }                                  /* faults stop */
  od
}

proctype Producer() {
  byte job;
end: do :: d_step { job < JOBS -> waiting!job; job++; broker_serve() } od
}

proctype Quiet() {                        /* nothing more can happen */
  timeout ->
  assert(decided == (1 << JOBS) - 1 && acked == decided);      /* every job is decided, */
#ifdef NAMED
  assert(owner == named);                                      /* by whom the ranking names in the end, */
#endif
  assert((events & ~published) == 0)                           /* every event is relayed */
}

init { atomic {
  for (i : 0 .. MEMBERS - 1) { run Member(i); run Fault(i) }
  for (i : 0 .. SLOTS - 1) { run Session(i) }
  run Producer(); run Quiet()
} }
