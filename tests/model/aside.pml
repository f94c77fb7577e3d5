/*
 * aside.pml: an item whose row cannot be locked, in a shard whose other items go on. Checked by ./run (Spin 6).
 *
 * Jobs are numbered in queue order; a set of jobs is a bit mask. Those of one item (SLOW) are refused by the
 * database while `stuck`: the batch is cut until they stand alone, then they are set aside: a durable row for
 * each, in order, written in the transaction that decides the others; then all are acknowledged. While the item
 * has rows, its later jobs join behind them. The owner, also after a take-over, tries again from the head.
 * A cancel of a job that is set aside is executed by the owner too.
 *
 * A transaction is one step, under the fence (pool.pml shows why it may be one). That its answer is lost is the
 * step and then a take-over: the jobs are delivered again.
 *
 * A seeded bug (-DNAME) breaks one rule and must give a counterexample:
 *   JUMP        decide a later job of the item without looking for its rows
 *   ANY_ROW     try again from any row                 ACK_FIRST   acknowledge before the rows are written
 *   ROW_AGAIN   set a job that comes again aside again WHOLE       set the whole batch aside, all items of it
 *   MEMORY      try again only what this process has set aside itself
 */
#define JOBS    4
#define ALL     15
#define SLOW    13                        /* jobs 0, 2, 3; job 1 is of another item */
#ifndef FAULTS
#define FAULTS  4
#endif
#define MEMBERS 2
#define bit_of(j)     (1 << (j))
#define below(j)      (bit_of(j) - 1)

/* PostgreSQL */
byte decided, cancelled;                  /* orders */
chan rows = [JOBS + FAULTS] of { byte };  /* jobs of the item that are set aside, in order */
byte set_aside;                           /* the same, as a set */
bit  stuck, for_ever;                     /* the item's row is locked by another; that never ends */
bit  owner;                               /* who has taken over last: the epoch */
byte wish;                                /* cancels to be executed */

/* RabbitMQ: it delivers in order, to the owner's channel, and again to the next one what is not acknowledged */
byte acked;
byte mine[MEMBERS];                       /* delivered, not acknowledged by this member */
byte done[MEMBERS];                       /* ... and recorded: to be acknowledged */
bit  open[MEMBERS];
#ifdef MEMORY
byte known[MEMBERS];                      /* rows that this process has written itself */
#endif
byte faults = FAULTS;
hidden byte i, j, batch;

#define may_write(m) (open[m] && owner == m)      /* the fence */
inline record(job) {                      /* in the item's order, once */
  assert((decided & bit_of(job)) == 0);
  if :: bit_of(job) & SLOW -> assert((SLOW & below(job) & ~decided) == 0) :: else -> skip fi;
  decided = decided | bit_of(job)
}
inline put_aside(m, job) {
  rows!job; set_aside = set_aside | bit_of(job);
#ifdef MEMORY
  known[m] = known[m] | bit_of(job)
#endif
}
#ifdef ROW_AGAIN
#define is_known(job) (decided & bit_of(job))
#else
#define is_known(job) ((decided | set_aside) & bit_of(job))
#endif
#ifdef JUMP
#define must_join(job) (stuck && (bit_of(job) & SLOW))
#elif defined(WHOLE)
#define must_join(job) (stuck || (set_aside && (bit_of(job) & SLOW)))
#else
#define must_join(job) ((bit_of(job) & SLOW) && (stuck || set_aside))
#endif
inline decide(m, upto) {                  /* the jobs that it has, up to this one */
  i = 0; do
  :: i <= upto && (mine[m] & bit_of(i)) && !is_known(i) && must_join(i) -> put_aside(m, i); i++
  :: i <= upto && (mine[m] & bit_of(i)) && !is_known(i) && !must_join(i) -> record(i); i++
  :: i <= upto && (!(mine[m] & bit_of(i)) || is_known(i)) -> i++
  :: else -> break od;
  done[m] = done[m] | (mine[m] & (bit_of(upto + 1) - 1)); i = 0
}
inline close(m) {
  open[m] = 0; mine[m] = 0; done[m] = 0;
#ifdef MEMORY
  known[m] = 0
#endif
}
#ifdef MEMORY
#define may_retry(m) (known[m] & set_aside)
#else
#define may_retry(m) (set_aside)
#endif

proctype Member(byte m) {
end: do
  :: d_step { !open[m] && owner == m -> open[m] = 1; mine[m] = 0; done[m] = 0 }
  :: d_step { !open[m] && owner != m && faults -> faults--; owner = m; open[m] = 1; mine[m] = 0; done[m] = 0 }      /* takes over */
  :: d_step { open[m] && owner != m -> close(m) }                                 /* notices */
  :: d_step { open[m] && owner == m && faults -> faults--; close(m) }             /* dies, or loses its channel; comes again */
  /* the broker delivers to the owner what it has not acknowledged, in order */
  :: d_step { open[m] && owner == m && ((ALL & ~acked & ~mine[m]) > 0) ->
       j = 0; do :: (acked | mine[m]) & bit_of(j) -> j++ :: else -> break od;
       mine[m] = mine[m] | bit_of(j); j = 0 }
#ifdef ACK_FIRST
  :: d_step { open[m] && owner == m && stuck && (mine[m] & SLOW & ~acked) -> acked = acked | (mine[m] & SLOW) }
#endif
  /* decides one, two or all that it has */
  :: d_step { may_write(m) && (mine[m] & 1 & ~done[m]) -> decide(m, 0) }
  :: d_step { may_write(m) && (mine[m] & 2 & ~done[m]) -> decide(m, 1) }
  :: d_step { may_write(m) && (mine[m] & 4 & ~done[m]) -> decide(m, 2) }
  :: d_step { may_write(m) && (mine[m] & 8 & ~done[m]) -> decide(m, 3) }
  :: d_step { open[m] && owner == m && (done[m] & ~acked) ->
       acked = acked | done[m]; mine[m] = mine[m] & ~done[m]; done[m] = 0 }
  /* tries again from the head: one, then all that are there */
  :: d_step { may_write(m) && may_retry(m) && !stuck && len(rows) > 0 ->
       rows?j; record(j); set_aside = set_aside & ~bit_of(j); j = 0 }
#ifdef ANY_ROW
  :: d_step { may_write(m) && !stuck && len(rows) > 1 ->
       rows?i; rows?j; record(j); set_aside = set_aside & ~bit_of(j); rows!i; i = 0; j = 0 }
#endif
  :: d_step { may_write(m) && !stuck && len(rows) > 1 && may_retry(m) ->
       do :: len(rows) > 0 -> rows?j; record(j) :: else -> break od; set_aside = 0; j = 0 }
  /* a cancel: of one that is set aside, or has been decided. (One that has not come is another's business.) */
  :: d_step { may_write(m) && (wish & set_aside) ->
       batch = len(rows); for (i : 1 .. batch) {
         rows?j;
         if :: wish & bit_of(j) -> assert((decided & bit_of(j)) == 0);
               decided = decided | bit_of(j); cancelled = cancelled | bit_of(j); set_aside = set_aside & ~bit_of(j)
            :: else -> rows!j fi };
       wish = 0; i = 0; j = 0; batch = 0 }
  :: d_step { may_write(m) && wish && (wish & set_aside) == 0 && (wish & decided) -> wish = 0 }
  od
}
proctype World() {
end: do
  :: d_step { !stuck && faults -> faults--; stuck = 1 }
  :: d_step { !stuck && faults -> faults--; stuck = 1; for_ever = 1 }
  :: d_step { stuck && !for_ever -> stuck = 0 }
  :: d_step { wish == 0 && faults -> faults--; wish = 4 }                         /* job 2 */
  od
}
proctype Always() {
  do
  :: (acked & ~(decided | set_aside)) -> assert((acked & ~(decided | set_aside)) == 0)      /* nothing acknowledged is lost, */
  :: timeout -> break od;
  assert(acked == ALL);                                               /* the broker has nothing left, */
  assert((decided & ~SLOW & ALL) == (ALL & ~SLOW));                   /* other items are never kept waiting, */
  assert(for_ever || decided == ALL);                                 /* and each job is decided once its item can be */
  assert(for_ever || len(rows) == 0)
}
init { atomic { run Member(0); run Member(1); run World(); run Always() } }
