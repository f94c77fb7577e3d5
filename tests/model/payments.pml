/*
 * payments.pml: the last unit of an item, two buyers who wait for it, two members, the gateway. Checked by
 * ./run (Spin 6). README.md beside it says which function or SQL each step stands for.
 *
 * A unit that a declined card gives back goes to the next in line; a buyer may cancel while waiting. Which
 * member serves, and that the lock excludes others, is pool.pml's business: here a member may take over at
 * any time as a fault, which bumps the epoch; a transaction is one step, under the fence, of a session that
 * may be lost before or after it.
 *
 * A plant (-DNAME) breaks one rule and must give a counterexample:
 *   FRESH_KEY    ask again under a new key          CALL_FIRST  charge before the intent is committed
 *   GIVE_UP      an unclear answer is a refusal     NO_FENCE    settle and promote without the epoch, and
 *   NO_SWEEP     trust memory, do not look for                  without looking at the payment's state
 *                open intents at a take-over
 */
#define ORDERS  2
#define MEMBERS 2
#ifndef FAULTS
#define FAULTS  5
#endif
#define KEYS    (2 * ORDERS)              /* an order's key is its number; + ORDERS: a fresh one (plant) */

mtype:status = { WAITING, RESERVED, CONFIRMED, REJECTED, CANCELLED }
mtype:result = { NONE, CAPTURED, DECLINED }

/* PostgreSQL */
mtype:status status[ORDERS] = WAITING;
bit intent[ORDERS];                       /* an open row of payments */
bit held, sold;                           /* stock is 1 */
byte epoch = 1;

/* The gateway: what each key came to; captures of each order */
mtype:result kept[KEYS] = NONE;
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
#define first_waiting (status[0] == WAITING -> 0 : (status[1] == WAITING -> 1 : ORDERS))

inline forget(who) {                       /* what it has in memory */
  o = 0;
  do :: o < ORDERS -> known[at(who, o)] = 0; calling[at(who, o)] = 0; got[at(who, o)] = NONE; o++ :: else -> break od;
  o = 0; my_epoch[who] = 0
}
inline settle_line() {                    /* the line's head is promoted, or all are refused */
  if :: sold -> status[0] = (status[0] == WAITING -> REJECTED : status[0]);
                status[1] = (status[1] == WAITING -> REJECTED : status[1])
     :: !sold && free && first_waiting < ORDERS -> o = first_waiting;
        status[o] = RESERVED; held = 1; intent[o] = 1; o = 0
     :: else -> skip fi
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
  /* promotes the head of the line: the intent is committed, then known */
  :: d_step { my_epoch[m] && free && first_waiting < ORDERS ->
#ifdef CALL_FIRST
       n = first_waiting; if :: !calling[at(m, n)] -> ask(m, n, n) :: else -> skip fi; n = 0;
#endif
       if :: fenced(m) -> forget(m)
          :: else -> n = first_waiting; settle_line(); known[at(m, n)] = 1; n = 0 fi }
  /* ... and its answer is lost: the member has no session, so no epoch; what it had in flight is void */
  :: d_step { my_epoch[m] && free && first_waiting < ORDERS && faults && !fenced(m) -> faults--; settle_line(); forget(m) }
  od
}

/* One payment of one member */
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
  /* settles: payment, order, units and the line behind, in one transaction */
  :: d_step { my_epoch[m] && got[at(m, n)] != NONE ->
       if :: fenced(m) -> forget(m)
          :: else ->
             if :: open_still(n) ->
                   assert(status[n] == RESERVED);                    /* what has ended is left alone */
                   status[n] = (got[at(m, n)] == CAPTURED -> CONFIRMED : REJECTED);
                   held = 0; sold = (got[at(m, n)] == CAPTURED -> 1 : sold); intent[n] = 0; settle_line()
                :: else -> skip fi;
             known[at(m, n)] = 0; got[at(m, n)] = NONE;
             known[at(m, 0)] = known[at(m, 0)] || (intent[0] && n == 1);      /* `pay` of who was promoted */
             known[at(m, 1)] = known[at(m, 1)] || (intent[1] && n == 0) fi }
  /* ... and its answer is lost */
  :: d_step { my_epoch[m] && got[at(m, n)] != NONE && faults && !fenced(m) -> faults--;
       if :: open_still(n) -> assert(status[n] == RESERVED);
             status[n] = (got[at(m, n)] == CAPTURED -> CONFIRMED : REJECTED);
             held = 0; sold = (got[at(m, n)] == CAPTURED -> 1 : sold); intent[n] = 0; settle_line()
          :: else -> skip fi;
       forget(m) }
  od
}

proctype Crash(byte m) {
  byte o;
end: do :: d_step { my_epoch[m] && faults -> faults--; forget(m) } od
}

proctype Gateway(byte key) {              /* each request of a key gets the result of the first */
end: do
  :: d_step { wire[key] && kept[key] == NONE -> wire[key]--; kept[key] = CAPTURED; captures[key % ORDERS]++ }
  :: d_step { wire[key] && kept[key] == NONE -> wire[key]--; kept[key] = DECLINED }
  :: d_step { wire[key] && kept[key] != NONE -> wire[key]-- }
  od
}

proctype Buyer(byte n) {                  /* may cancel while waiting; the owner executes it */
end: do :: d_step { status[n] == WAITING && faults -> faults--; status[n] = CANCELLED } od
}

proctype Always() {
  do :: held + sold > 1 -> assert(held + sold <= 1)                  /* never oversold, */
     :: captures[0] > 1 || captures[1] > 1 ->
          assert(captures[0] <= 1 && captures[1] <= 1)               /* never charged twice */
     :: timeout -> break od;
  assert(status[0] != WAITING && status[0] != RESERVED);             /* everybody is answered, */
  assert(status[1] != WAITING && status[1] != RESERVED);
  assert((captures[0] == 1) == (status[0] == CONFIRMED));            /* captured if and only if confirmed, */
  assert((captures[1] == 1) == (status[1] == CONFIRMED));
  assert(held == 0)                                                  /* and no unit is left aside */
}

init { atomic {
  run Member(0); run Member(1); run Crash(0); run Crash(1);
  run Payer(0, 0); run Payer(0, 1); run Payer(1, 0); run Payer(1, 1);
  run Gateway(0); run Gateway(1); run Gateway(2); run Gateway(3);
  run Buyer(0); run Buyer(1); run Always()
} }
