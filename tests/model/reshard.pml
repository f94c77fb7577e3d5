/*
 * reshard.pml: the number of shards changes while orders come. Checked by ./run (Spin 6).
 *
 * One item, whose line is in an old queue and then in a new one. A buyer sends the next job when the last one has its 202;
 * a job that was refused, or whose fate is not known, is sent again, to any producer. Producers know the old number or the
 * new one. A message that was routed may reach its queue much later (wire); its 202 is given when it is there, unless the
 * producer has given it up by then.
 *
 * The mover (checkoutctl reshard) goes by the state in PostgreSQL alone, so that it may die at any step and another one
 * goes on: it closes the old exchange (takes its bindings away), moves the tables in one transaction, forwards what the old
 * queue still has, and opens the new exchange.
 *
 * A transaction is one step, under the fence (pool.pml shows why it may be one).
 *
 * A seeded bug (-DNAME) breaks one rule and must give a counterexample:
 *   NO_FENCE    the old owner goes on after the tables have moved
 *   NO_FORWARD  opens the new exchange while the old queue has jobs
 *   OPEN_EARLY  opens it while a producer still waits for a confirm of the old exchange
 *   MOVE_OPEN   moves the tables while the old exchange is open
 *   ACK_FIRST   acknowledges a job before its copy is in the new queue
 *   MOVE_EARLY  moves the tables before all events are relayed
 *   NO_BOUND    the feed reads new events before it has read the old ones
 *   ABORT_LATE  opens the old exchange again after the tables have moved
 *   LATE_TAKE   a take-over that waited for the tables to move takes a shard of the old number
 */
#ifndef JOBS
#define JOBS      2
#endif
#define PRODUCERS 2
#define bit_of(j) (1 << (j))
#define below(j)  (bit_of(j) - 1)
#define NONE      7
#ifndef FAULTS
#define FAULTS    3
#endif

/* PostgreSQL */
#define BEGUN   0                         /* the new exchange and its queues are there, without bindings */
#define CLOSED  1                         /* the old exchange is to have no bindings */
#define MOVED   2                         /* the tables have moved */
#define OPEN    3                         /* the new exchange is to have bindings */
#define DONE    4
#define ABORTED 5
byte state;
byte decided, old_events, new_events;     /* orders; events by the number under which they were written */
bit  moved;                               /* which number is in service */

/* RabbitMQ */
chan old = [4] of { byte };              /* full: a producer waits, as with reject-publish */
chan new = [5] of { byte };
bit  old_bound = 1, new_bound;

/* producers and the buyer */
bit  knows[PRODUCERS];                    /* the new number */
byte wire[PRODUCERS] = NONE;              /* routed to the old queue, not there yet */
byte waits[PRODUCERS] = NONE;             /* for this confirm; then the buyer gets the 202 */
byte next;                                /* the job that the buyer sends, all before it have their 202 */
byte faults = FAULTS;

/* readers */
byte relayed, fed;
bit  attached = 1;                        /* the old owner's channel, and its relay */
bit  mine = 1, takes;                     /* it owns its shard; it waits to take it over */
hidden byte x;

inline decide(job) {                      /* once, in the item's order */
  if :: decided & bit_of(job) -> skip
     :: else -> assert((decided & below(job)) == below(job));
        decided = decided | bit_of(job);
        if :: moved -> new_events = new_events | bit_of(job) :: else -> old_events = old_events | bit_of(job) fi
  fi
}
inline lowest(set) { x = 0; do :: (set) & bit_of(x) -> break :: else -> x++ od }

proctype Producer(byte p) {
end: do
  :: d_step { !knows[p] && moved -> knows[p] = 1 }
  /* the buyer's present job; one that is known to be refused changes nothing */
  :: d_step { next < JOBS && waits[p] == NONE && wire[p] == NONE && !knows[p] && old_bound && len(old) < 3 ->
       waits[p] = next; wire[p] = next }
  :: d_step { next < JOBS && waits[p] == NONE && knows[p] && new_bound && len(new) < 3 -> new!next; next++ }
  :: d_step { next < JOBS && waits[p] == NONE && knows[p] && new_bound && len(new) < 3 && faults -> faults--; new!next }
  :: d_step { wire[p] != NONE && len(old) < 4 -> old!wire[p];
       if :: waits[p] == next -> next++ :: else -> skip fi;        /* a second 202 is none */
       waits[p] = NONE; wire[p] = NONE }
  :: d_step { waits[p] != NONE && faults -> faults--; waits[p] = NONE }                   /* gives it up */
  :: d_step { waits[p] != NONE && state >= CLOSED && state < DONE -> waits[p] = NONE }    /* and always in time */
  od
}
proctype OldOwner() {
  bit did;
end: do
#ifdef NO_FENCE
  :: d_step { attached && !did && len(old) > 0 -> old?<x>; assert(!moved); decide(x); did = 1; x = 0 }
#else
  :: d_step { attached && mine && !did && len(old) > 0 -> old?<x>; assert(!moved); decide(x); did = 1; x = 0 }
#endif
  :: d_step { attached && mine && faults -> faults--; mine = 0; did = 0 }     /* loses its session, and takes over again */
  :: d_step { attached && !mine && !takes && !moved -> takes = 1 }
#ifdef LATE_TAKE
  :: d_step { takes -> takes = 0; mine = 1 }
#else
  :: d_step { takes -> takes = 0; mine = !moved }
#endif
  :: d_step { attached && did -> old?x; did = 0; x = 0 }
  :: d_step { attached && did && faults -> faults--; did = 0 }     /* dies before the acknowledgement, comes again */
  :: d_step { attached && (old_events & ~relayed) -> lowest(old_events & ~relayed);
       assert((relayed & below(x)) == below(x)); relayed = relayed | bit_of(x); x = 0 }
  :: d_step { attached && moved -> attached = 0; did = 0 }         /* sees the new number */
  od
}
proctype NewOwner() {
  bit did;
end: do
  :: d_step { moved && !did && len(new) > 0 -> new?<x>; decide(x); did = 1; x = 0 }
  :: d_step { did -> new?x; did = 0; x = 0 }
  :: d_step { did && faults -> faults--; did = 0 }
  :: d_step { moved && (new_events & ~relayed) -> lowest(new_events & ~relayed);
       assert((relayed & below(x)) == below(x)); relayed = relayed | bit_of(x); x = 0 }
  od
}
proctype Feed() {
end: do
  :: d_step { old_events & ~fed -> lowest(old_events & ~fed);
       assert((fed & below(x)) == below(x)); fed = fed | bit_of(x); x = 0 }
#ifdef NO_BOUND
  :: d_step { new_events & ~fed ->
#else
  :: d_step { (new_events & ~fed) && !(old_events & ~fed) ->
#endif
       lowest(new_events & ~fed); assert((fed & below(x)) == below(x)); fed = fed | bit_of(x); x = 0 }
  od
}

#ifdef MOVE_EARLY
#define all_relayed true
#else
#define all_relayed (relayed == decided)
#endif
#ifdef MOVE_OPEN
#define may_move (state == BEGUN || state == CLOSED)
#else
#define may_move (state == CLOSED && !old_bound)
#endif
#ifdef NO_FORWARD
#define is_empty true
#else
#define is_empty (!attached && len(old) == 0)
#endif
#ifdef OPEN_EARLY
#define given_up true
#else
#define given_up (waits[0] == NONE && waits[1] == NONE)  /* longer closed than a producer waits */
#endif
proctype Mover() {
  byte copied = NONE;                     /* in the new queue, not acknowledged: this process knows it */
end: do
  :: d_step { state == BEGUN -> state = CLOSED }
  :: d_step { state == CLOSED && old_bound -> old_bound = 0 }
  :: d_step { state == CLOSED && faults -> faults--; state = ABORTED }
  :: d_step { state == ABORTED && !old_bound && !moved -> old_bound = 1 }
#ifdef ABORT_LATE
  :: d_step { state == MOVED && faults -> faults--; state = ABORTED; old_bound = 1 }
#endif
  :: d_step { may_move && all_relayed -> state = MOVED; moved = 1; mine = 0 }
  /* as long as it lives after that: also what comes late */
#ifdef ACK_FIRST
  :: d_step { state >= MOVED && state < DONE && !attached && copied == NONE && len(old) > 0 -> old?copied }
  :: d_step { copied != NONE -> new!copied; copied = NONE }
#else
  :: d_step { state >= MOVED && state < DONE && !attached && copied == NONE && len(old) > 0 && len(new) < 4 ->
       old?<x>; new!x; copied = x; x = 0 }
  :: d_step { copied != NONE -> old?x; copied = NONE; x = 0 }
#endif
  :: d_step { copied != NONE && faults -> faults--; copied = NONE }                /* dies; another one goes on */
  :: d_step { state == MOVED && copied == NONE && is_empty && given_up -> state = OPEN }
  :: d_step { state == OPEN && !new_bound -> new_bound = 1 }
  :: d_step { state == OPEN && new_bound && !attached && len(old) == 0 && wire[0] == NONE && wire[1] == NONE -> state = DONE }
  od
}
proctype Quiet() {
  timeout;
  assert(next == JOBS);                                     /* the shop takes orders, */
  assert((decided & below(next)) == below(next));           /* each 202 ends, */
  assert(len(old) == 0 && len(new) == 0);                   /* nothing is left over, */
  assert(relayed == decided && fed == decided)              /* and all is told */
}
init { atomic {
  run Producer(0); run Producer(1); run OldOwner(); run NewOwner(); run Feed(); run Mover(); run Quiet() } }
