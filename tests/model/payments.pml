/*
 * payments.pml: the only unit of an item, two buyers who want it, two members, the gateway. Checked by
 * ./run (Spin 6). README.md beside it says which function or SQL each step stands for.
 *
 * Orders come to the counter in their order; a unit that a declined card gives back goes to the next in line;
 * a buyer may cancel at any time, also before the order is decided. Which member serves, and that the lock
 * excludes others, is pool.pml's business: here a member may take over at any time as a fault, which bumps
 * the epoch; a transaction is one step, under the fence, of a session that may be lost before or after it.
 *
 * A seeded bug (-DNAME) breaks one rule and must give a counterexample:
 *   FRESH_KEY    ask again under a new key          CALL_FIRST  charge before the intent is committed
 *   GIVE_UP      an unclear answer is a refusal     NO_FENCE    settle and promote without the epoch, and
 *   NO_SWEEP     trust memory, do not look for                  without looking at the payment's state
 *                open intents at a take-over        NO_VOID     refuse who has to act at the bank, without
 *                                                               cancelling at the gateway first
 */
#define ORDERS  2
#define MEMBERS 2
#ifndef FAULTS
#define FAULTS  5
#endif
#define KEYS    (2 * ORDERS)              /* an order's key is its number; + ORDERS: a fresh one (seeded bug) */

mtype:status = { QUEUED, WAITING, RESERVED, CONFIRMED, REJECTED, CANCELLED }
mtype:result = { NONE, CAPTURED, DECLINED, ACTION }       /* ACTION: the buyer has to act at the bank */
mtype:wish   = { NO, PENDING, DONE }

/* PostgreSQL */
mtype:status status[ORDERS] = QUEUED;
bit intent[ORDERS];                       /* an open row of payments */
mtype:wish wish[ORDERS] = NO;             /* a row of commands: a cancel */
bit held, sold;                           /* stock is 1 */
byte epoch = 1;

/* The gateway: what each key is answered, and what became of its intent; captures of each order */
mtype:result kept[KEYS] = NONE, fate[KEYS] = NONE;
byte captures[ORDERS];
byte wire[KEYS];                          /* requests on their way, whoever has sent them */

/* Members */
byte my_epoch[MEMBERS];                   /* 0: it does not serve */
bit  known[MEMBERS * ORDERS];             /* it has this payment in memory */
byte calling[MEMBERS * ORDERS];           /* waits for an answer to the key + 1 */
mtype:result got[MEMBERS * ORDERS] = NONE;
byte faults = FAULTS;

#define at(m, o) (ORDERS * m + o)
#ifdef NO_FENCE
#define fenced(m) false
#define open_still(o) true
#else
#define fenced(m) (my_epoch[m] != epoch)
#define open_still(o) (intent[o])
#endif
#define free (!held && !sold)
#define first_queued  (status[0] == QUEUED -> 0 : (status[1] == QUEUED -> 1 : ORDERS))
#define first_waiting (status[0] == WAITING -> 0 : (status[1] == WAITING -> 1 : ORDERS))
#define nobody_waits  (first_waiting == ORDERS)
#define commanded(o)  (wish[o] == PENDING && status[o] != QUEUED)

inline forget(who) {                      /* what it has in memory */
  o = 0;
  do :: o < ORDERS -> known[at(who, o)] = 0; calling[at(who, o)] = 0; got[at(who, o)] = NONE; o++ :: else -> break od;
  o = 0; my_epoch[who] = 0
}
inline settle_line() {                    /* all are refused, or the line's head is promoted */
  if :: sold -> status[0] = (status[0] == WAITING -> REJECTED : status[0]);
                status[1] = (status[1] == WAITING -> REJECTED : status[1])
     :: !sold && free && first_waiting < ORDERS -> o = first_waiting;
        status[o] = RESERVED; held = 1; intent[o] = 1; o = 0
     :: else -> skip fi
}
inline pay() {                            /* effects of a transaction: what is to be charged */
  known[at(m, 0)] = known[at(m, 0)] || (intent[0] && got[at(m, 0)] == NONE);
  known[at(m, 1)] = known[at(m, 1)] || (intent[1] && got[at(m, 1)] == NONE)
}
inline decide() {                         /* a cancel that came first; a free unit for which nobody waits; the line */
  n = first_queued;
  if :: wish[n] == PENDING -> status[n] = CANCELLED; wish[n] = DONE
     :: wish[n] != PENDING && free && nobody_waits -> status[n] = RESERVED; held = 1; intent[n] = 1;
        assert(n == 0 || status[0] != WAITING)                       /* first come, first served */
     :: wish[n] != PENDING && !(free && nobody_waits) -> status[n] = (sold -> REJECTED : WAITING) fi;
  n = 0; settle_line()
}
inline command() {                        /* one that waits is taken out of the line; else it is refused */
  n = (commanded(0) -> 0 : 1); wish[n] = DONE;
  status[n] = (status[n] == WAITING -> CANCELLED : status[n]); n = 0; settle_line()
}
inline ask(who, order, k) { calling[at(who, order)] = k + 1; wire[k]++ }

proctype Member(byte m) {
  byte o, n;
end: do
  /* takes over: a new epoch, then the sweep */
  :: d_step { my_epoch[m] == 0 && (faults || my_epoch[1 - m] == 0) ->
       faults = (my_epoch[1 - m] -> faults - 1 : faults); epoch++; my_epoch[m] = epoch;
#ifndef NO_SWEEP
       known[at(m, 0)] = intent[0]; known[at(m, 1)] = intent[1]
#endif
     }
  :: d_step { my_epoch[m] && my_epoch[m] != epoch -> forget(m) }     /* sees at its next look that it is over */
  /* decides the next order; executes a command; settles the line: the intent is committed, then known */
  :: d_step { my_epoch[m] && first_queued < ORDERS ->
#ifdef CALL_FIRST
       n = first_queued; if :: !calling[at(m, n)] -> ask(m, n, n) :: else -> skip fi; n = 0;
#endif
       if :: fenced(m) -> forget(m) :: else -> decide(); pay() fi }
  :: d_step { my_epoch[m] && (commanded(0) || commanded(1)) ->
       if :: fenced(m) -> forget(m) :: else -> command(); pay() fi }
  :: d_step { my_epoch[m] && free && first_waiting < ORDERS ->
       if :: fenced(m) -> forget(m) :: else -> settle_line(); pay() fi }
  /* ... and the answer is lost: the member has no session, so no epoch; what it had in flight is void */
  :: d_step { my_epoch[m] && first_queued < ORDERS && faults && !fenced(m) -> faults--; decide(); forget(m) }
  :: d_step { my_epoch[m] && (commanded(0) || commanded(1)) && faults && !fenced(m) -> faults--; command(); forget(m) }
  od
}

/* One payment of one member */
inline settle() {                         /* payment, order, units and the line behind, in one transaction */
  if :: open_still(n) ->
        assert(status[n] == RESERVED);                               /* what has ended is left alone */
        status[n] = (got[at(m, n)] == CAPTURED -> CONFIRMED : REJECTED);
        held = 0; sold = (got[at(m, n)] == CAPTURED -> 1 : sold); intent[n] = 0; settle_line()
     :: else -> skip fi
}
#ifdef NO_VOID
#define definite(r) (r != NONE)
#else
#define definite(r) (r == CAPTURED || r == DECLINED)
#endif
proctype Payer(byte m, n) {
  byte o;
end: do
  :: d_step { my_epoch[m] && known[at(m, n)] && !calling[at(m, n)] && got[at(m, n)] == NONE -> ask(m, n, n) }
  /* no answer within the deadline, a reset, nonsense: unknown; the same key goes again */
  :: d_step { calling[at(m, n)] && faults -> faults--;
#ifdef GIVE_UP
       got[at(m, n)] = DECLINED; calling[at(m, n)] = 0
#elif defined(FRESH_KEY)
       ask(m, n, n + ORDERS)
#else
       calling[at(m, n)] = 0
#endif
     }
  :: d_step { calling[at(m, n)] && kept[calling[at(m, n)] - 1] != NONE ->
       got[at(m, n)] = kept[calling[at(m, n)] - 1]; calling[at(m, n)] = 0 }
#ifndef NO_VOID
  /* who has to act at the bank is refused, but the intent is cancelled first; it may have succeeded */
  :: d_step { my_epoch[m] && got[at(m, n)] == ACTION ->
       fate[n] = (fate[n] == ACTION -> DECLINED : fate[n]); got[at(m, n)] = fate[n] }
  :: d_step { my_epoch[m] && got[at(m, n)] == ACTION && faults -> faults--;      /* ... and the answer is lost */
       fate[n] = (fate[n] == ACTION -> DECLINED : fate[n]); got[at(m, n)] = NONE }
#endif
  :: d_step { my_epoch[m] && definite(got[at(m, n)]) ->
       if :: fenced(m) -> forget(m)
          :: else -> settle(); known[at(m, n)] = 0; got[at(m, n)] = NONE; pay() fi }
  /* ... and its answer is lost */
  :: d_step { my_epoch[m] && definite(got[at(m, n)]) && faults && !fenced(m) -> faults--; settle(); forget(m) }
  od
}

proctype Crash(byte m) {
  byte o;
end: do :: d_step { my_epoch[m] && faults -> faults--; forget(m) } od
}

inline first_time(result) { wire[key]--; kept[key] = result; fate[key] = result }
proctype Gateway(byte key) {              /* each request of a key gets the answer of the first */
end: do
  :: d_step { wire[key] && kept[key] == NONE -> first_time(CAPTURED); captures[key % ORDERS]++ }
  :: d_step { wire[key] && kept[key] == NONE -> first_time(DECLINED) }
  :: d_step { wire[key] && kept[key] == NONE -> first_time(ACTION) }
  :: d_step { wire[key] && kept[key] != NONE -> wire[key]-- }
  :: d_step { fate[key] == ACTION -> fate[key] = CAPTURED; captures[key % ORDERS]++ }    /* the buyer has acted */
  od
}

proctype Buyer(byte n) {                  /* may ask for a cancel, once */
end: do :: d_step { wish[n] == NO && faults -> faults--; wish[n] = PENDING } od
}

#define ended(s) (s == CONFIRMED || s == REJECTED || s == CANCELLED)
proctype Always() {
  do :: held + sold > 1 -> assert(held + sold <= 1)                  /* never oversold, */
     :: captures[0] > 1 || captures[1] > 1 ->
          assert(captures[0] <= 1 && captures[1] <= 1)               /* never charged twice */
     :: timeout -> break od;
  assert(ended(status[0]) && ended(status[1]));                      /* everybody is answered, */
  assert((captures[0] == 1) == (status[0] == CONFIRMED));            /* captured if and only if confirmed, */
  assert((captures[1] == 1) == (status[1] == CONFIRMED));
  assert(wish[0] != PENDING && wish[1] != PENDING);                  /* every command has its result, */
  assert(held == 0)                                                  /* and no unit is left aside */
}

init { atomic {
  run Member(0); run Member(1); run Crash(0); run Crash(1);
  run Payer(0, 0); run Payer(0, 1); run Payer(1, 0); run Payer(1, 1);
  run Gateway(0); run Gateway(1); run Gateway(2); run Gateway(3);
  run Buyer(0); run Buyer(1); run Always()
} }
