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
 * With -DNAMED -DDOWN the broker may go away for good: no member is ready then, and the shard has an owner all the same.
 * With -DNAMED -DUNFED a member's node may be cut off as a fault: its channel is gone for the rest of the broker,
 * and the member does not notice, nor do the others. Then, too, others yield to it once at most: it takes the
 * shard over no more than once, and once more for each fault, until it is fed again.
 *
 * A seeded bug (-DNAME) breaks one rule and must give a counterexample:
 *   CANCEL       hand over by basic.cancel             NO_FENCE    write without looking at the epoch
 *   NACK         nack(requeue) to retry                NO_LOCK     look, but without locking the row
 *   ACK_EARLY    ack before commit                     NO_BUMP     take over without a new epoch
 *   RELAY_EARLY  advance the mark before publishing    KEEP_EPOCH  keep the epoch in a new session, and
 *   PREFETCH     members with different windows                    lock FOR SHARE, which lets both pass
 *   BLIND        (NAMED) yield to a member that is not ready
 *   NONE_READY   (DOWN) rank nobody while no member is ready
 *   STAY         (UNFED) a member that the broker does not feed stays where it is
 *   RUSH         (UNFED) who has released the shard opens its channel again at once
 */
#define JOBS    2
#ifndef FAULTS
#define FAULTS  2
#endif
#define MEMBERS 2
#define SLOTS   (MEMBERS + FAULTS)        /* database sessions: one per member, then one per lost session */
#define NOBODY  255
#define OLD     1                         /* epochs: only equality with the shard's matters, */
#define CURRENT 2                         /* so a bump turns every older number into OLD; 0: none */
#define ANY     0                         /* what a take-over went by, if not an epoch: anything, */
#define OURS    3                         /* or that the shard has its own name on it */
#ifndef PREFETCH
#define PREFETCH JOBS                     /* the window of member 1; that of member 0 is JOBS */
#endif
#define room    (len(mine[serving]) < (serving == 0 -> JOBS : PREFETCH))
#define consumes(m) (linked[m] && !cancelled[m])
#ifdef NAMED
#define ready(m) ((linked[m] || lonely[m]) && !frozen[m] && !away[m])
#ifdef NONE_READY
#define named   (ready(first) -> first : (ready(1 - first) -> 1 - first : NOBODY))
#else                                     /* if no member is ready, those alive are ranked as if they were */
#define named   (ready(first) -> first : (ready(1 - first) -> 1 - first : (!frozen[first] -> first : (!frozen[1 - first] -> 1 - first : NOBODY))))
#endif
/* Time, as far as it is relied on: a beat is a second, a take-over milliseconds, and a member yields only
   what it has served for two beats (YIELD_AGE_MS). So by then the other one has its answer, and has looked. */
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
#define must_yield(m) (named != m && named != NOBODY && ready(named) && beat(m))
#endif

/* RabbitMQ: a quorum queue with a single active consumer */
chan waiting  = [JOBS] of { byte };       /* published, in order */
chan returned = [JOBS] of { byte };       /* taken back from closed channels; delivered before `waiting` */
bit  linked[MEMBERS];                     /* the broker holds the member's channel for open */
bit  lonely[MEMBERS];                     /* it does not, since the member's node is cut off, which nobody sees */
bit  cancelled[MEMBERS];                  /* ... but it consumes no more (seeded bug CANCEL) */
byte serving = NOBODY;                    /* the single active consumer */
byte acked;                               /* jobs the broker has forgotten */

/* Members: what each process has in memory */
mtype:mode = { SERVE, STOP, RELEASING }   /* a yield: stop taking, release the shard, close the channel */
mtype:mode mode[MEMBERS] = SERVE;
chan mine[MEMBERS] = [JOBS] of { byte };  /* unacked deliveries in order; while linked, the broker's view too */
bit  open[MEMBERS], frozen[MEMBERS];      /* open: the member holds its channel for open */
byte my_epoch[MEMBERS];                   /* OLD or CURRENT: it thinks it owns the shard */
byte served[MEMBERS];                     /* the epoch that it had when it lost its session, to take over again */
byte batch[MEMBERS];                      /* deliveries to ack when the call in flight has committed */
byte my_mark[MEMBERS];                    /* events below it are published; 0: it does not relay */
#ifdef RELAY_EARLY
byte todo[MEMBERS];                       /* events behind a mark that was written first */
#endif
byte first;                               /* the member that the ranking prefers (NAMED) */
bit  away[MEMBERS];                       /* it was told to leave (NAMED) */
#ifdef DOWN
bit  down;                                /* the broker is gone for good */
#else
#define down false
#endif

/* PostgreSQL: the tables; each session's one request, which the server ends whatever the client does */
byte owner = NOBODY;                      /* shards (whose epoch is CURRENT by definition) */
byte decided;                             /* orders */
byte events, next_event;                  /* order_events: the committed ids; its sequence */
byte mark;                                /* relays: ids below it are published */
byte writer = NOBODY;                     /* the session that has taken the shard over last (nobody knows it) */
byte holders;                             /* transactions that hold the lock on the shard's row */
mtype:tx = { IDLE, BUMP, BUMPED, MOVED, DECIDE, LOCKED, COMMITTED, REFUSED, AGAIN, RELEASE, RELEASED }
mtype:tx tx[SLOTS] = IDLE;
byte orphan_of[FAULTS];                   /* whose number is in the request of a lost session; NOBODY: a dead one's */
#define by(s) (s < MEMBERS -> s : orphan_of[s - MEMBERS])
byte tx_epoch[SLOTS], tx_look[SLOTS], tx_jobs[SLOTS], tx_new[SLOTS], tx_event[SLOTS];

#ifdef UNFED
byte alone[MEMBERS];                      /* take-overs of a member since its node was cut off */
#define count_alone(m) alone[m] = (lonely[m] -> alone[m] + 1 : 0); assert(alone[m] <= FAULTS + 1)
#define heal(m) lonely[m] = 0; alone[m] = 0
/* Time again: who has released the shard to the named one opens its channel again when that one has looked. */
bit  gave[MEMBERS];
#ifdef RUSH
#define waits(m) false
#else
#define waits(m) (gave[m] && owner == NOBODY && named == 1 - m)
#endif
#else
#define count_alone(m) skip
#define heal(m) lonely[m] = 0
#define waits(m) false
#endif
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
#ifdef RELAY_EARLY
inline stop_relay(m) { my_mark[m] = 0; todo[m] = 0 }
#else
inline stop_relay(m) { my_mark[m] = 0 }
#endif
inline drop(m) {                          /* close the channel, own nothing */
  broker_closed(m); forget_channel(m);
  my_epoch[m] = 0; served[m] = 0; stop_relay(m); mode[m] = SERVE
}
#ifdef STAY
inline move(m) { skip }
#else
inline move(m) { heal(m) }                /* another member is fed: connects to another node */
#endif
inline ack(m) {                           /* `batch` is the head of `mine` */
  do
  :: len(mine[m]) > 0 -> mine[m]?<j>;
     if :: (batch[m] >> j) & 1 -> mine[m]?j; acked = (linked[m] -> acked | (1 << j) : acked) :: else -> break fi
  :: else -> break od;
  assert((acked & ~decided) == 0);        /* no acked job is undecided */
  broker_serve()
}
#ifdef UNFED
#define took(m) gave[m] = 0;
#else
#define took(m)
#endif
inline send_bump(m, look) { tx[m] = BUMP; tx_look[m] = look }
inline send_decide(m, count) {            /* the first `count` of mine */
  for (i : 1 .. len(mine[m])) { mine[m]?j; mine[m]!j; batch[m] = batch[m] | ((i <= count) << j) }
  tx[m] = DECIDE; tx_epoch[m] = my_epoch[m]; tx_jobs[m] = batch[m];
#ifdef ACK_EARLY
  ack(m)
#endif
}
inline clear(s) { tx[s] = IDLE; tx_epoch[s] = 0; tx_look[s] = 0; tx_jobs[s] = 0; tx_new[s] = 0; tx_event[s] = 0 }
inline lose_session(one, who) {          /* a fault: what is in flight lives on in a session nobody reads */
  faults--;
  if :: tx[one] == BUMP || tx[one] == DECIDE || tx[one] == LOCKED || tx[one] == RELEASE ->
     i = MEMBERS + faults; tx[i] = tx[one]; tx_look[i] = tx_look[one]; orphan_of[faults] = who;
     tx_epoch[i] = tx_epoch[one]; tx_jobs[i] = tx_jobs[one]; tx_new[i] = tx_new[one]; tx_event[i] = tx_event[one]
     writer = (writer == one -> i : writer)
  :: else -> writer = (writer == one -> NOBODY : writer) fi;
  clear(one); batch[one] = 0
}
inline die(m) {                           /* who comes again is another member; its number is a dead one's */
  lose_session(m, NOBODY);
  for (i : 0 .. FAULTS - 1) { orphan_of[i] = (tx[MEMBERS + i] != IDLE && orphan_of[i] == m -> NOBODY : orphan_of[i]) }
  owner = (owner == m -> NOBODY : owner); drop(m); frozen[m] = 0; heal(m)
}
/* The shard is as the take-over saw it, or has the caller's own name on it. (Of two dead ones it is not told
   whether they are the same.) */
#define may_take(s)   (tx_look[s] == ANY || tx_look[s] == CURRENT || owner == by(s))
#define may_refuse(s) ((tx_look[s] == OLD || tx_look[s] == OURS) && (owner != by(s) || owner == NOBODY))
inline unlock() { holders = (holders -> holders - 1 : 0) }
inline answer(s, result) {
  tx[s] = result; tx_jobs[s] = 0; tx_look[s] = 0; tx_epoch[s] = (result == BUMPED -> CURRENT : 0);
  if :: s >= MEMBERS -> clear(s); orphan_of[s - MEMBERS] = 0; writer = (writer == s -> NOBODY : writer) :: else -> skip fi       /* nobody reads it */
}

proctype Session(byte s) {
end: do
  :: d_step { tx[s] == BUMP && holders == 0 && may_take(s) ->     /* waits for the lock; then looks whether */
#ifndef NO_BUMP
       for (i : 0 .. MEMBERS - 1) { my_epoch[i] = (my_epoch[i] -> OLD : 0); served[i] = (served[i] -> OLD : 0) }
       for (i : 0 .. SLOTS - 1) {
         tx_epoch[i] = (tx_epoch[i] -> OLD : 0); tx_look[i] = (tx_look[i] == CURRENT -> OLD : tx_look[i]) }
#endif
       owner = by(s); writer = s;
       if :: s < MEMBERS -> count_alone(s) :: else -> skip fi; answer(s, BUMPED) }
  :: d_step { tx[s] == BUMP && holders == 0 && may_refuse(s) -> answer(s, MOVED) }       /* ... it has moved on */
  :: d_step { tx[s] == RELEASE && holders == 0 ->
       owner = (tx_epoch[s] == CURRENT -> NOBODY : owner); answer(s, RELEASED) }
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
#ifndef KEEP_EPOCH
          assert(writer == s);                            /* only who has taken the shard over last writes, */
#endif
          assert((tx_new[s] & decided) == 0);             /* each job is decided once, */
          decided = decided | tx_new[s];
          assert((decided & (decided + 1)) == 0);         /* in queue order, */
          assert((events >> tx_event[s]) == 0);           /* and event ids are in commit order */
          events = events | (1 << tx_event[s])
       :: else -> skip fi;
       unlock(); answer(s, COMMITTED) }
  :: d_step { tx[s] == LOCKED && s >= MEMBERS -> unlock(); answer(s, AGAIN) }     /* ... or rolls back: orphaned, */
  :: d_step { tx[s] == LOCKED && s < MEMBERS && faults -> faults--; unlock(); answer(s, AGAIN) }      /* or refused */
  od
}

#define may_ask(m) (!frozen[m] && my_epoch[m] == 0 && tx[m] == IDLE && mode[m] == SERVE && !away[m])
inline set_mark(m) { do :: events >> my_mark[m] -> my_mark[m]++ :: else -> break od; j = 0 }

proctype Member(byte m) {
end: do
#ifdef STAY
  :: d_step { !frozen[m] && !open[m] && !away[m] && !waits(m) && !down -> open[m] = 1; linked[m] = !lonely[m]; broker_serve() }
#else
  :: d_step { !frozen[m] && !open[m] && !away[m] && !lonely[m] && !waits(m) && !down ->
       open[m] = 1; linked[m] = 1; broker_serve() }
  :: d_step { !frozen[m] && !open[m] && lonely[m] -> heal(m) }                  /* no channel opens: another node */
#endif
  :: d_step { !frozen[m] && open[m] && !linked[m] && !lonely[m] -> forget_channel(m) }     /* notices the loss */
  /* takes the shard over: (a) it is fed; it is named, and (b) nobody owns it or (c) its owner is dead or taken
     for dead; it served it when it lost its session; the shard has its name, but it does not hold it */
  :: d_step { may_ask(m) && served[m] == 0 && len(mine[m]) > 0 -> send_bump(m, ANY) }
  :: d_step { may_ask(m) && served[m] == 0 && is_named(m) &&
              (owner == NOBODY || (owner != m && frozen[owner])) -> send_bump(m, CURRENT) }
  :: d_step { may_ask(m) && served[m] -> send_bump(m, served[m]) }
  :: d_step { may_ask(m) && owner == m -> send_bump(m, OURS) }
  :: d_step { !frozen[m] && tx[m] == BUMPED ->
       my_epoch[m] = tx_epoch[m]; served[m] = 0; took(m) clear(m); my_mark[m] = mark }
  :: d_step { !frozen[m] && tx[m] == MOVED -> clear(m);
       if :: served[m] -> drop(m) :: else -> skip fi }    /* what it has in memory is of an epoch that is over */
  /* decides: all it has, or the first; one call at a time */
  :: d_step { !frozen[m] && my_epoch[m] && tx[m] == IDLE && mode[m] == SERVE && len(mine[m]) > 0 -> send_decide(m, JOBS) }
  :: d_step { !frozen[m] && my_epoch[m] && tx[m] == IDLE && mode[m] == SERVE && len(mine[m]) > 1 -> send_decide(m, 1) }
  :: d_step { !frozen[m] && tx[m] == COMMITTED -> ack(m); batch[m] = 0; clear(m) }
  :: d_step { !frozen[m] && tx[m] == AGAIN -> batch[m] = 0; clear(m) }          /* nothing was written */
  :: d_step { !frozen[m] && tx[m] == REFUSED -> clear(m); drop(m); move(m) }    /* fenced off */
#ifndef NO_BUMP
  :: d_step { !frozen[m] && my_epoch[m] == OLD && tx[m] == IDLE -> drop(m); move(m) }      /* ... or sees it at its next look */
#endif
  /* relays: publishes what the table has past its mark, then writes the mark (not fenced; it only grows) */
#ifdef RELAY_EARLY
  :: d_step { !frozen[m] && my_epoch[m] && (events >> my_mark[m]) -> todo[m] = (events >> my_mark[m]) << my_mark[m];
       set_mark(m); mark = my_mark[m] }
  :: d_step { !frozen[m] && todo[m] -> published = published | todo[m]; todo[m] = 0 }
#else
  :: d_step { !frozen[m] && my_epoch[m] && (events >> my_mark[m]) ->
       published = published | ((events >> my_mark[m]) << my_mark[m]); set_mark(m) }
  :: d_step { !frozen[m] && my_mark[m] > mark -> mark = my_mark[m] }
#endif
  /* yields: finishes, releases the shard, then closes the channel */
#ifdef NAMED
  :: d_step { !frozen[m] && my_epoch[m] && mode[m] == SERVE && (away[m] || must_yield(m)) -> mode[m] = STOP }
  :: d_step { !frozen[m] && away[m] && my_epoch[m] == 0 && tx[m] == IDLE && (open[m] || served[m]) -> drop(m) }
  :: d_step { !frozen[m] && away[m] && my_epoch[m] == 0 && tx[m] == IDLE && !open[m] && !served[m] ->
       owner = (owner == m -> NOBODY : owner); away[m] = 0 }      /* ... has left, and joins again */
#endif
  :: d_step { !frozen[m] && mode[m] == STOP && tx[m] == IDLE ->
       tx[m] = RELEASE; tx_epoch[m] = my_epoch[m]; mode[m] = RELEASING }
  :: d_step { !frozen[m] && tx[m] == RELEASED -> clear(m); drop(m);
#ifdef UNFED
       gave[m] = 1
#endif
     }
  od
}

proctype Fault(byte m) {
end: do
  :: d_step { faults -> die(m) }                          /* crash, and a clean restart */
  :: d_step { faults && !frozen[m] -> faults--; frozen[m] = 1 }
  :: d_step { frozen[m] && linked[m] -> broker_closed(m) }                      /* the broker gives it up, or not */
  :: d_step { frozen[m] -> frozen[m] = 0 }
  :: d_step { faults && (tx[m] != IDLE || my_epoch[m]) ->                       /* the database connection alone */
#ifndef KEEP_EPOCH
       /* an epoch belongs to one session: take over again, or if it was yielding, begin anew */
       if :: mode[m] != SERVE -> drop(m)
       :: else -> served[m] = my_epoch[m]; my_epoch[m] = 0; stop_relay(m) fi;
#endif
       lose_session(m, m) }
#ifdef UNFED
  :: d_step { faults && linked[m] && !frozen[m] -> faults--; broker_closed(m); lonely[m] = 1 }      /* its node is cut off */
  :: d_step { lonely[m] -> heal(m) }                      /* ... until it is healed */
#endif
#ifdef DOWN
  :: d_step { m == 0 && faults && !down -> faults--; down = 1; broker_closed(0); broker_closed(1) }
#endif
#ifdef NAMED
  :: d_step { m == 0 && faults -> faults--; first = 1 - first }                 /* the ranking changes */
  :: d_step { faults && !away[m] && !frozen[m] -> faults--; away[m] = 1 }       /* it is told to leave */
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
  assert(down || (decided == (1 << JOBS) - 1 && acked == decided));      /* every job is decided, */
#ifdef NAMED
  assert(owner != NOBODY);                                     /* the shard has an owner, */
  assert(named == NOBODY || owner == named || !ready(named));      /* whom the ranking names, if that one is ready, */
#endif
  assert((events & ~published) == 0)                           /* every event is relayed */
}

init { atomic {
  for (i : 0 .. MEMBERS - 1) { run Member(i); run Fault(i) }
  for (i : 0 .. SLOTS - 1) { run Session(i) }
  run Producer(); run Quiet()
} }
