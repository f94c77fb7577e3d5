/*
 * payments.pml: the money of an item's only unit: buyers who want it, two members, the gateway. Checked by
 * ./run (Spin 6). README.md beside it says which function or SQL each step stands for.
 *
 * What an attempt does next is not written here: each event takes the row of the service's own table
 * (attempt.pml, written from consumer/money/attempt.c); an event without a row is an error. This file says when
 * events happen, what the gateway does, and what each transaction writes.
 *
 * A transaction is one step, under the fence. That its answer is lost is the step and then a lost session.
 * Which member serves is pool.pml's business: here the other one may take over at any time, as a fault; the
 * member before it goes on from its memory until it notices. A process that dies or loses its session forgets, or
 * leaves calls in flight whose answers it may still get, if it takes over again.
 *
 * Time: an old copy of a request is executed before CHECKOUT_GATEWAY_LIMIT has passed, and lists show by then what
 * there is. That the gateway breaks this is a fault (`broken`); then two captures may stand for a while.
 *
 * A seeded bug (-DNAME) breaks one rule and must give a counterexample: ./run names them and what each breaks.
 */
#ifndef ORDERS
#define ORDERS  1
#endif
#ifndef MOST
#define MOST    2                         /* attempts of an order */
#endif
#ifndef FAULTS
#define FAULTS  2
#endif
#define MEMBERS 2
#define TRIES   (FAULTS + 1)              /* of a refund; each new one follows a fault */
#define KEYS    (ORDERS * MOST)

#define row(state, call, on, next, next_call, action) \
  table[((state) * ATTEMPT_VERBS + call) * ATTEMPT_EVENTS + on] = 1 + 32 * ((next) * ATTEMPT_VERBS + next_call) + action
#include "attempt.pml"
#define GONE 6                            /* a state more: it is not in memory */
hidden short table[1800];

mtype:status = { NEW, WAITING, RESERVED, CONFIRMED, REJECTED, CANCELLED, REFUNDED }
mtype:wish   = { NO, PENDING, DONE }
mtype:word   = { UNSAID, BUYER, NOT_CAPTURED, RELEASE }
mtype:refund = { OWES_NOT, OPEN, FAILED, BACK }
mtype:result = { NOTHING, SUCCEEDED, OTHER_SUM, DECLINED, ACTION, PROCESSING, CLOSED, ERROR, REFUSED, ALREADY }

/* PostgreSQL. The unit is held for who is RESERVED, and sold to who is CONFIRMED. */
mtype:status status[ORDERS] = NEW;
mtype:wish wish[ORDERS] = NO;             /* a row of commands: a cancel */
byte open[ORDERS];                        /* the open payment: its attempt; 0: none */
byte intent[ORDERS];                      /* ... which intent it has, as far as it is recorded */
bit  action[ORDERS];                      /* ... its buyer was asked to act */
mtype:word word[ORDERS] = UNSAID;         /* ... what a person says of it */
byte paid[ORDERS];                        /* the intent that the order was confirmed by */
bit  late[ORDERS];                        /* an attempt ended without a word of the gateway: late looks */
bit  restock[ORDERS];                     /* a refund puts the unit on sale again */
mtype:refund refund[KEYS] = OWES_NOT;     /* of each intent */
byte try[KEYS];                           /* ... under which key */

/* The gateway: what a key answers, and what its intent is; what the list shows; requests on their way */
mtype:result kept[KEYS] = NOTHING, fate[KEYS] = NOTHING;
bit  listed[KEYS], old[KEYS];             /* old: the gateway has forgotten the key */
byte wire[KEYS];                          /* at most two copies */
bit  voids[KEYS];                         /* a cancel whose caller does not wait any more */
bit  saved[ORDERS], used[ORDERS];         /* the payment method is a customer's, or is for one use; it is consumed */
#define at_try(key, n) ((key) * TRIES + (n) - 1)
mtype:result answer[KEYS * TRIES] = NOTHING, money[KEYS * TRIES] = NOTHING;       /* refunds: the same */
bit  sent[KEYS * TRIES];
byte given[KEYS], going[KEYS];            /* refunds of the intent that stand; that the bank has not decided */

/* Members: what each has in memory of each order */
#define SLOTS (MEMBERS * ORDERS)
bit  owner, serving;                      /* who has taken over last; whether it has a session */
byte state[SLOTS] = GONE;
byte call[SLOTS], number[SLOTS], id[SLOTS];      /* attempt, or try of a refund; which intent it is about */
byte ending[SLOTS];                       /* the action that ended it: its outcome is to be recorded */
mtype:word said[SLOTS] = UNSAID;
bit  ask[SLOTS];                          /* what the buyer is to do is to be recorded */
bit  orphan[SLOTS];                       /* its answer is not wanted */
bit  sure[SLOTS], sum[SLOTS], refused[SLOTS];    /* answers said: nothing runs; another sum was taken; refused */

bit  broken;
byte faults = FAULTS;
hidden short row_now;
hidden byte i, j, n, best;

#define at(m, o)     (ORDERS * (m) + o)
#define key(o, n)    (MOST * (o) + n - 1)
#define holds(m)     (serving && owner == m)
#ifdef NO_FENCE
#define fenced(m)    false
#define still(o, x)  true
#else
#define fenced(m)    (owner != m)
#define still(o, x)  (open[o] == number[x])
#endif
#define final(o)     (status[o] != NEW && status[o] != WAITING && status[o] != RESERVED)
#define sold_to(o)   (status[o] == CONFIRMED || (status[o] == REFUNDED && !restock[o]))
#define taken_by(o)  (sold_to(o) || status[o] == RESERVED)
#define captured(k)  (fate[k] == SUCCEEDED || fate[k] == OTHER_SUM)
#define alive(k)     (fate[k] == ACTION || fate[k] == PROCESSING)
#define keeps(k)     (captured(k) && given[k] == 0)
#if ORDERS > 1
#define sold         (sold_to(0) || sold_to(1))
#define taken        (taken_by(0) || taken_by(1))
#define first(s)     (status[0] == s -> 0 : (status[1] == s -> 1 : ORDERS))
#else
#define sold         sold_to(0)
#define taken        taken_by(0)
#define first(s)     (status[0] == s -> 0 : ORDERS)
#endif
#if MOST > 1
#define refund_due(o) (refund[key(o, 1)] == OPEN -> 1 : (refund[key(o, 2)] == OPEN -> 2 : 0))
#define all_listed(o) ((listed[key(o, 1)] || fate[key(o, 1)] == NOTHING) && (listed[key(o, 2)] || fate[key(o, 2)] == NOTHING))
#define keeps_of(o)   (keeps(key(o, 1)) + keeps(key(o, 2)))
#else
#define refund_due(o) (refund[key(o, 1)] == OPEN -> 1 : 0)
#define all_listed(o) (listed[key(o, 1)] || fate[key(o, 1)] == NOTHING)
#define keeps_of(o)   keeps(key(o, 1))
#endif
#define late_seen(o, n) (listed[key(o, n)] && captured(key(o, n)) && paid[o] != n && unknown(o, n))
#ifdef LATE_TWICE                         /* gives back what has been given back */
#define unknown(o, n) (refund[key(o, n)] == OWES_NOT || refund[key(o, n)] == BACK)
#else
#define unknown(o, n) (refund[key(o, n)] == OWES_NOT)
#endif

#define pending(k) (going[k] > 0)

/* ---- memory ---- */

inline gone(x) {
  state[x] = GONE; call[x] = 0; number[x] = 0; id[x] = 0; ending[x] = 0; said[x] = UNSAID; ask[x] = 0;
  orphan[x] = 0; sure[x] = 0; sum[x] = 0; refused[x] = 0
}
/* The row of the table; and what it asks for, as far as it counts here. */
inline step(x, on) {
  row_now = table[(state[x] * ATTEMPT_VERBS + call[x]) * ATTEMPT_EVENTS + on];
  assert(row_now > 0);                    /* each event that can happen has a row */
  row_now--; state[x] = row_now / (32 * ATTEMPT_VERBS); call[x] = (row_now / 32) % ATTEMPT_VERBS; row_now = row_now % 32;
  if
  :: row_now == DO_FORGET -> gone(x)
  :: state[x] == ENDED && row_now != DO_FORGET -> ending[x] = row_now; ask[x] = 0; sure[x] = 0; sum[x] = 0; refused[x] = 0
  :: row_now == DO_ASK_BUYER -> ask[x] = 1
  :: row_now == DO_ORPHAN -> orphan[x] = 1; ask[x] = 0
  :: row_now == DO_ADOPT -> orphan[x] = 0
  :: else -> skip
  fi
}
#define has_row(x, on) (table[(state[x] * ATTEMPT_VERBS + call[x]) * ATTEMPT_EVENTS + on] > 0)
#define on_word(x) (said[x] == BUYER -> ON_BUYER_CANCEL : (said[x] == RELEASE -> ON_RESOLVED_RELEASE : ON_RESOLVED_NOT_CAPTURED))
inline hear_word(x) {                     /* what a person says; while it is called, that waits for the answer */
  if :: said[x] != UNSAID && state[x] < ENDED && has_row(x, on_word(x)) -> step(x, on_word(x)) :: else -> skip fi
}
inline leave_call(x, o) {                 /* nobody waits for the answer, but a cancel may still be executed */
  if :: state[x] == CALLING && call[x] == CANCEL -> voids[key(o, id[x])] = 1 :: else -> skip fi
}
inline forget(m) {
  i = 0; do :: i < ORDERS -> leave_call(at(m, i), i); gone(at(m, i)); i++ :: else -> break od; i = 0
}
inline lose_shard(m) {
  i = 0; do
  :: i < ORDERS && state[at(m, i)] < ENDED && !orphan[at(m, i)] -> step(at(m, i), ON_SHARD_LOST); i++
  :: i < ORDERS && state[at(m, i)] == ENDED -> gone(at(m, i)); i++
  :: i < ORDERS && (state[at(m, i)] == GONE || orphan[at(m, i)]) -> i++
  :: else -> break od; i = 0
}
inline load_charge(x, o) {
  gone(x); state[x] = QUEUED; call[x] = (intent[o] -> GET : CHARGE); number[x] = open[o]; id[x] = intent[o]; said[x] = word[o];
  if :: call[x] == CHARGE && number[x] > 1 -> step(x, ON_START_LATER) :: else -> skip fi;
  hear_word(x)
}
inline load_refund(x, o) {
  gone(x); state[x] = QUEUED; call[x] = REFUND; id[x] = refund_due(o); number[x] = try[key(o, id[x])];
  if :: number[x] > 1 -> step(x, ON_START_LATER) :: else -> skip fi
}
inline load(m) {                          /* tasks of open payments and refunds that are not in memory */
  i = 0; do
  :: i < ORDERS && state[at(m, i)] == GONE && open[i] -> load_charge(at(m, i), i); i++
  :: i < ORDERS && state[at(m, i)] == GONE && !open[i] && refund_due(i) -> load_refund(at(m, i), i); i++
  :: i < ORDERS && (state[at(m, i)] != GONE || (!open[i] && !refund_due(i))) -> i++
  :: else -> break od; i = 0
}
#define is_charge(x) (call[x] == CHARGE || call[x] == GET || call[x] == CANCEL)
#define same_task(x, o) ((is_charge(x) && open[o] == number[x]) || \
                         (!is_charge(x) && refund[key(o, id[x])] == OPEN && try[key(o, id[x])] == number[x]))
inline resume(m) {                        /* at a take-over; calls in flight of an earlier time are its own again */
  lose_shard(m);
  i = 0; do
  :: i < ORDERS && orphan[at(m, i)] && same_task(at(m, i), i) ->
     step(at(m, i), ON_SHARD_BACK); said[at(m, i)] = (is_charge(at(m, i)) -> word[i] : UNSAID); i++
  :: i < ORDERS && orphan[at(m, i)] && !same_task(at(m, i), i) -> leave_call(at(m, i), i); gone(at(m, i)); i++
  :: i < ORDERS && !orphan[at(m, i)] -> i++
  :: else -> break od; i = 0;
#ifndef NO_SWEEP
  load(m)
#endif
}

/* ---- transactions ---- */

inline reserve(o) { status[o] = RESERVED; open[o] = 1; intent[o] = 0; action[o] = 0; word[o] = UNSAID }
#ifdef NO_STOCK
#define may_promote  !sold                /* though the unit is held for another */
#else
#define may_promote  !taken
#endif
inline settle_line() {                    /* all are refused, or the line's head is promoted */
  if :: sold -> j = 0; do :: j < ORDERS -> status[j] = (status[j] == WAITING -> REJECTED : status[j]); j++ :: else -> break od
     :: may_promote && first(WAITING) < ORDERS -> j = first(WAITING); reserve(j)
     :: else -> skip fi; j = 0
}
inline decide() {
  n = first(NEW);
  if :: wish[n] == PENDING -> status[n] = CANCELLED; wish[n] = DONE
     :: wish[n] != PENDING && !taken && first(WAITING) == ORDERS -> reserve(n)
     :: wish[n] != PENDING && (taken || first(WAITING) < ORDERS) -> status[n] = (sold -> REJECTED : WAITING) fi;
  n = 0; settle_line()
}
inline say(o, m, what) { word[o] = what; said[at(m, o)] = what; hear_word(at(m, o)) }
#define commanded(o) (wish[o] == PENDING && status[o] != NEW)
inline run_cancel(o, m) {                 /* in time if it waits, or its buyer is at the bank; then the gateway first */
  wish[o] = DONE;
  if :: status[o] == WAITING -> status[o] = CANCELLED
     :: status[o] == RESERVED && action[o] && word[o] == UNSAID ->
#ifdef CANCEL_FREES
        status[o] = CANCELLED; open[o] = 0; gone(at(m, o))
#else
        say(o, m, BUYER)
#endif
     :: else -> skip fi;
  settle_line()
}
inline end_order(o, how) { status[o] = how; open[o] = 0; intent[o] = 0; action[o] = 0; word[o] = UNSAID }
inline give_back(o, what) { refund[key(o, what)] = OPEN; try[key(o, what)]++; assert(try[key(o, what)] <= TRIES) }
inline supersede(o) {
  late[o] = 1;
  if :: word[o] == NOT_CAPTURED || word[o] == RELEASE || open[o] == MOST -> end_order(o, REJECTED)
     :: else -> open[o]++; intent[o] = 0; action[o] = 0; word[o] = UNSAID fi
}
inline settle(x, o) {                     /* payment, order, unit and the line behind, in one transaction */
  if
  :: !still(o, x) -> skip
  :: still(o, x) ->
     assert(status[o] == RESERVED);       /* what has ended is left alone */
     if
     :: ending[x] == DO_END_CAPTURED -> paid[o] = id[x]; end_order(o, CONFIRMED)
     :: ending[x] == DO_END_DECLINED && said[x] != BUYER -> end_order(o, REJECTED)
     :: ending[x] == DO_END_DECLINED && said[x] == BUYER -> end_order(o, CANCELLED)
     :: ending[x] == DO_END_FAILED -> late[o] = 1; end_order(o, REJECTED)
     :: ending[x] == DO_END_OTHER_SUM -> late[o] = 1; end_order(o, REJECTED); if :: unknown(o, id[x]) -> give_back(o, id[x]) :: else -> skip fi
     :: ending[x] == DO_END_SUPERSEDED -> supersede(o)
     fi;
     settle_line()
  fi
}
inline settle_refund(x, o) {
  n = key(o, id[x]);
  if
  :: refund[n] != OPEN || try[n] != number[x] -> skip
  :: else ->
     if
     :: ending[x] == DO_END_REFUNDED -> refund[n] = BACK; status[o] = (paid[o] == id[x] && status[o] == CONFIRMED -> REFUNDED : status[o])
     :: ending[x] == DO_END_REFUND_FAILED -> refund[n] = FAILED
     :: ending[x] == DO_END_REFUND_AGAIN || ending[x] == DO_END_REFUND_LATER -> give_back(o, id[x])
     fi;
     settle_line()
  fi; n = 0
}

proctype Owner(byte m) {
end: do
  :: d_step { !serving && (owner == m || state[at(m, 0)] != GONE) -> owner = m; serving = 1; resume(m) }
  :: d_step { serving && owner != m && faults -> faults--; owner = m; resume(m) }            /* from one that lives */
  :: d_step { owner != m && (state[at(m, 0)] != GONE && !orphan[at(m, 0)]) -> lose_shard(m) }     /* notices */
#if ORDERS > 1
  :: d_step { owner != m && (state[at(m, 1)] != GONE && !orphan[at(m, 1)]) -> lose_shard(m) }
#endif
  :: d_step { holds(m) && first(NEW) < ORDERS ->
#ifdef CALL_FIRST
       n = first(NEW); wire[key(n, 1)] = (kept[key(n, 1)] == NOTHING -> 1 : 0); n = 0;
#endif
       decide(); load(m) }
  :: d_step { holds(m) && commanded(0) -> run_cancel(0, m); load(m) }
#if ORDERS > 1
  :: d_step { holds(m) && commanded(1) -> run_cancel(1, m); load(m) }
#endif
  :: d_step { holds(m) && !taken && first(WAITING) < ORDERS -> settle_line(); load(m) }
  od
}

/* ---- what a member does with an order ---- */

#define charge_key(x, o)  key(o, number[x])
#define intent_key(x, o)  key(o, id[x])
#define refund_at(x, o)   at_try(key(o, id[x]), number[x])
#define calls(x, verb)    (state[x] == CALLING && call[x] == verb && !orphan[x])
#ifdef LIST_EARLY                         /* "not found", though a request may still be executed */
#define list_tells(x, o)  true
#else
#define list_tells(x, o)  (all_listed(o) && (sure[x] || wire[charge_key(x, o)] == 0))
#endif
#define find_tells(x, o)  (sure[x] || !sent[refund_at(x, o)])

inline heard(x, on) {                     /* an answer; then what a person has said meanwhile */
  refused[x] = 0; sum[x] = (on == ON_OTHER_SUM); step(x, on);
  if :: state[x] != RECONCILE -> hear_word(x) :: else -> skip fi
}
inline hear_refused(x) {                  /* by the second attempt: an earlier one may have taken the money */
  if :: number[x] == 1 -> heard(x, ON_REFUSED)
     :: else -> sure[x] = 1; heard(x, ON_REFUSED_AGAIN); refused[x] = (state[x] == RECONCILE) fi
}
inline hear_kept(x, o) {                  /* what the key answers, now and ever */
  n = kept[charge_key(x, o)];
  id[x] = (n == ERROR || n == REFUSED -> id[x] : number[x]);
  if
  :: n == SUCCEEDED -> heard(x, ON_SUCCEEDED)
  :: n == OTHER_SUM -> heard(x, ON_OTHER_SUM)
  :: n == DECLINED -> heard(x, ON_DECLINED)
  :: n == ACTION && said[x] == UNSAID -> heard(x, ON_ACTION)
  :: n == ACTION && said[x] != UNSAID -> heard(x, ON_ACTION_VOID)
  :: n == PROCESSING -> heard(x, ON_PENDING)
  :: n == ERROR -> sure[x] = 1; heard(x, ON_KEPT)
  :: n == REFUSED -> hear_refused(x)
  fi; n = 0
}
inline hear_fate(x, o) {                  /* what the intent is now */
  n = fate[intent_key(x, o)];
  if
  :: n == SUCCEEDED -> heard(x, ON_SUCCEEDED)
  :: n == OTHER_SUM -> heard(x, ON_OTHER_SUM)
  :: n == DECLINED -> heard(x, ON_DECLINED)
  :: n == ACTION && said[x] == UNSAID -> heard(x, ON_ACTION)
  :: n == ACTION && said[x] != UNSAID -> heard(x, ON_ACTION_VOID)
  :: n == PROCESSING -> heard(x, ON_PENDING)
  :: n == CLOSED -> heard(x, ON_CANCELLED)
  fi; n = 0
}
#define rank_of(k, x) (!listed[k] -> 0 : (fate[k] == SUCCEEDED -> 5 : (fate[k] == OTHER_SUM -> 4 : \
                      (fate[k] == CLOSED -> 1 : (fate[k] == DECLINED || said[x] != UNSAID -> 2 : 3)))))
inline find(x, o) {                       /* the best that the list shows of the order, whatever attempt it is of */
  best = rank_of(key(o, 1), x); n = 1;
#if MOST > 1
  if :: rank_of(key(o, 2), x) > best -> best = rank_of(key(o, 2), x); n = 2 :: else -> skip fi;
#endif
  n = (best -> n : 0)
}
inline hear_list(x) {
  id[x] = n; n = 0; sum[x] = 0;
  if
  :: best == 5 -> step(x, ON_FOUND_SUCCEEDED)
  :: best == 4 -> step(x, ON_FOUND_OTHER_SUM)
  :: best == 3 -> step(x, ON_FOUND_ALIVE)
  :: best == 2 -> step(x, ON_FOUND_OPEN)
  :: best == 1 -> step(x, ON_FOUND_CANCELLED)
  fi; best = 0
}
inline hear_nothing(x) {
  if :: said[x] == NOT_CAPTURED || said[x] == RELEASE || refused[x] || number[x] == MOST -> step(x, ON_NOT_FOUND_LAST)
     :: else -> step(x, ON_NOT_FOUND) fi
}
#define found(x, o) ((rank_of(key(o, 1), x) + (MOST > 1 -> rank_of(key(o, MOST), x) : 0)) > 0)

proctype Attempt(byte m, o) {
end: do
  /* its turn */
#ifdef OLD_KEY
  :: d_step { state[at(m, o)] == QUEUED && call[at(m, o)] == CHARGE ->
#else
  :: d_step { state[at(m, o)] == QUEUED && call[at(m, o)] == CHARGE && old[charge_key(at(m, o), o)] -> step(at(m, o), ON_KEY_OLD) }
  :: d_step { state[at(m, o)] == QUEUED && call[at(m, o)] == CHARGE && !old[charge_key(at(m, o), o)] ->
#endif
       n = charge_key(at(m, o), o); wire[n] = (kept[n] == NOTHING && wire[n] < 2 -> wire[n] + 1 : wire[n]); n = 0;
       sure[at(m, o)] = 0; step(at(m, o), ON_SENT) }
  :: d_step { state[at(m, o)] == QUEUED && (call[at(m, o)] == GET || call[at(m, o)] == CANCEL || call[at(m, o)] == FIND_REFUND) ->
       step(at(m, o), ON_SENT) }
  :: d_step { state[at(m, o)] == QUEUED && call[at(m, o)] == REFUND ->
       n = refund_at(at(m, o), o); sent[n] = (answer[n] == NOTHING); n = 0; sure[at(m, o)] = 0; step(at(m, o), ON_SENT) }
  :: d_step { state[at(m, o)] == QUEUED && faults -> faults--; step(at(m, o), ON_SEND_INVALID) }
  :: d_step { state[at(m, o)] == QUEUED && call[at(m, o)] == REFUND && faults -> faults--; step(at(m, o), ON_KEY_OLD) }
  /* answers to a charge */
  :: d_step { calls(at(m, o), CHARGE) && kept[charge_key(at(m, o), o)] != NOTHING -> hear_kept(at(m, o), o) }
  :: d_step { calls(at(m, o), CHARGE) && kept[charge_key(at(m, o), o)] != NOTHING && faults -> faults--; heard(at(m, o), ON_KEY_USED) }
  :: d_step { calls(at(m, o), CHARGE) && kept[charge_key(at(m, o), o)] == NOTHING && wire[charge_key(at(m, o), o)] && (used[o] || faults) ->
       faults = (used[o] -> faults : faults - 1); wire[charge_key(at(m, o), o)]--; hear_refused(at(m, o)) }     /* and does not keep it */
  :: d_step { calls(at(m, o), CHARGE) && kept[charge_key(at(m, o), o)] == NOTHING && wire[charge_key(at(m, o), o)] == 0 ->
       heard(at(m, o), ON_UNCLEAR) }                       /* it was lost */
  /* ... to a look, to a cancel. A debit under way can be cancelled, or not */
  :: d_step { calls(at(m, o), GET) -> hear_fate(at(m, o), o) }
  :: d_step { calls(at(m, o), GET) && faults -> faults--; heard(at(m, o), ON_REFUSED) }
  :: d_step { calls(at(m, o), CANCEL) -> n = intent_key(at(m, o), o);
       fate[n] = (fate[n] == ACTION || fate[n] == DECLINED -> CLOSED : fate[n]); n = 0; hear_fate(at(m, o), o) }
  :: d_step { calls(at(m, o), CANCEL) && fate[intent_key(at(m, o), o)] == PROCESSING ->
       fate[intent_key(at(m, o), o)] = CLOSED; hear_fate(at(m, o), o) }
  /* ... to a refund */
  :: d_step { calls(at(m, o), REFUND) && answer[refund_at(at(m, o), o)] != NOTHING -> n = answer[refund_at(at(m, o), o)];
       if
       :: n == SUCCEEDED -> heard(at(m, o), ON_SUCCEEDED)
       :: n == PROCESSING -> heard(at(m, o), ON_PENDING)
       :: n == REFUSED -> heard(at(m, o), ON_REFUSED)
       :: n == ALREADY -> heard(at(m, o), ON_ALREADY)
       :: n == ERROR -> sure[at(m, o)] = 1; heard(at(m, o), ON_KEPT)
       fi; n = 0 }
  :: d_step { calls(at(m, o), REFUND) && answer[refund_at(at(m, o), o)] != NOTHING && faults -> faults--; heard(at(m, o), ON_KEY_USED) }
  :: d_step { calls(at(m, o), REFUND) && sent[refund_at(at(m, o), o)] && faults -> faults--;      /* no balance */
       sent[refund_at(at(m, o), o)] = 0; sure[at(m, o)] = 1; heard(at(m, o), ON_REFUSED_NOW) }
#ifndef NO_CAP
  :: d_step { calls(at(m, o), REFUND) && sent[refund_at(at(m, o), o)] && faults -> faults--;      /* ... while a copy is on its way */
       sure[at(m, o)] = 1; heard(at(m, o), ON_REFUSED_NOW) }
#endif
  :: d_step { calls(at(m, o), REFUND) && answer[refund_at(at(m, o), o)] == NOTHING && !sent[refund_at(at(m, o), o)] ->
       heard(at(m, o), ON_UNCLEAR) }
  :: d_step { calls(at(m, o), FIND_REFUND) && given[intent_key(at(m, o), o)] -> heard(at(m, o), ON_SUCCEEDED) }
  :: d_step { calls(at(m, o), FIND_REFUND) && !given[intent_key(at(m, o), o)] && pending(intent_key(at(m, o), o)) -> heard(at(m, o), ON_PENDING) }
  :: d_step { calls(at(m, o), FIND_REFUND) && !given[intent_key(at(m, o), o)] && !pending(intent_key(at(m, o), o)) && find_tells(at(m, o), o) ->
       if :: money[refund_at(at(m, o), o)] == DECLINED -> heard(at(m, o), ON_FAILED)
          :: else -> heard(at(m, o), ON_NONE) fi }
  /* ... no answer, or nonsense; the request may be executed later */
  :: d_step { state[at(m, o)] == CALLING && !orphan[at(m, o)] && faults -> faults--; leave_call(at(m, o), o);
#ifdef FRESH_KEY
       if :: call[at(m, o)] == CHARGE && number[at(m, o)] < MOST -> number[at(m, o)]++ :: else -> skip fi;
#endif
       heard(at(m, o), ON_UNCLEAR) }
  :: d_step { state[at(m, o)] == CALLING && orphan[at(m, o)] -> leave_call(at(m, o), o); step(at(m, o), ON_ORPHANED) }
  /* clocks and hints; an intent or a refund that has not changed is looked at in vain */
  :: d_step { state[at(m, o)] == WAIT_RETRY && !(call[at(m, o)] == FIND_REFUND && pending(intent_key(at(m, o), o))) -> step(at(m, o), ON_TIMER) }
  :: d_step { state[at(m, o)] == WAIT_BUYER && !alive(intent_key(at(m, o), o)) -> step(at(m, o), ON_TIMER) }
  :: d_step { state[at(m, o)] == WAIT_BUYER && !alive(intent_key(at(m, o), o)) && call[at(m, o)] == CANCEL -> step(at(m, o), ON_HINT) }
  :: d_step { state[at(m, o)] == WAIT_BUYER && call[at(m, o)] == GET -> step(at(m, o), ON_TIME_UP) }
  /* the list */
  :: d_step { state[at(m, o)] == RECONCILE && found(at(m, o), o) -> find(at(m, o), o); hear_list(at(m, o)) }
  :: d_step { state[at(m, o)] == RECONCILE && !found(at(m, o), o) && (list_tells(at(m, o), o) || said[at(m, o)] == NOT_CAPTURED || said[at(m, o)] == RELEASE) &&
              !sum[at(m, o)] -> hear_nothing(at(m, o)) }
  :: d_step { state[at(m, o)] == RECONCILE && !found(at(m, o), o) && sum[at(m, o)] && faults -> faults--; step(at(m, o), ON_LIST_CONTRADICTS) }
  :: d_step { state[at(m, o)] == RECONCILE && !found(at(m, o), o) && faults -> faults--; broken = 1; hear_nothing(at(m, o)) }
  /* records: what the buyer is to do; which intent it is; its end */
  :: d_step { ask[at(m, o)] && fenced(m) -> lose_shard(m) }
  :: d_step { ask[at(m, o)] && holds(m) -> ask[at(m, o)] = 0; action[o] = 1; intent[o] = id[at(m, o)] }
  :: d_step { holds(m) && state[at(m, o)] < ENDED && !orphan[at(m, o)] && (call[at(m, o)] == GET || call[at(m, o)] == CANCEL) &&
              open[o] == number[at(m, o)] && intent[o] != id[at(m, o)] -> intent[o] = id[at(m, o)] }
  :: d_step { state[at(m, o)] == ENDED && fenced(m) -> lose_shard(m) }
  :: d_step { state[at(m, o)] == ENDED && (holds(m) || !fenced(m)) ->
       if :: is_charge(at(m, o)) -> settle(at(m, o), o) :: else -> settle_refund(at(m, o), o) fi;
       gone(at(m, o)); load(m) }
#ifndef NO_SWEEP
  :: d_step { holds(m) && state[at(m, o)] == GONE && (open[o] || refund_due(o)) -> load(m) }
#endif
  /* money for an order that does not want it; a refund that has failed, at once or later; begun again by an operator */
#ifndef NO_LOOK
  :: d_step { holds(m) && late[o] && final(o) && late_seen(o, 1) -> give_back(o, 1); load(m) }
#if MOST > 1
  :: d_step { holds(m) && late[o] && final(o) && late_seen(o, 2) -> give_back(o, 2); load(m) }
#endif
#endif
  od
}

proctype Operator(byte o) {
  byte k;
end: do
  :: d_step { serving && status[o] == RESERVED && word[o] == UNSAID && faults -> faults--; say(o, owner, RELEASE) }
  :: d_step { serving && status[o] == RESERVED && word[o] == UNSAID && faults -> faults--; say(o, owner, NOT_CAPTURED) }
  :: d_step { serving && status[o] == CONFIRMED && refund[key(o, paid[o])] == OWES_NOT && faults -> faults--; give_back(o, paid[o]); load(owner) }
  :: d_step { serving && status[o] == CONFIRMED && refund[key(o, paid[o])] == OWES_NOT && faults -> faults--; restock[o] = 1;
              give_back(o, paid[o]); load(owner) }
#ifndef NO_RETRY
  :: d_step { serving && refund[key(o, 1)] == FAILED -> give_back(o, 1); load(owner) }
#if MOST > 1
  :: d_step { serving && refund[key(o, 2)] == FAILED -> give_back(o, 2); load(owner) }
#endif
#endif
  /* the gateway shows that a refund which was done has failed */
  :: d_step { serving && refund[key(o, 1)] == BACK && given[key(o, 1)] == 0 && !pending(key(o, 1)) -> refund[key(o, 1)] = FAILED }
#if MOST > 1
  :: d_step { serving && refund[key(o, 2)] == BACK && given[key(o, 2)] == 0 && !pending(key(o, 2)) -> refund[key(o, 2)] = FAILED }
#endif
  od
}

proctype Fault(byte m) {
end: do
  :: d_step { holds(m) && faults -> faults--; forget(m); serving = 0 }            /* a crash */
  :: d_step { holds(m) && faults -> faults--; serving = 0 }                       /* the session alone is lost */
  :: d_step { owner != m && state[at(m, 0)] != GONE && orphan[at(m, 0)] -> forget(m) }
  od
}

/* ---- the gateway ---- */

inline keep(result) { kept[k] = result; wire[k] = 0 }       /* other copies get the same */
inline new_intent(what) {
  assert(fate[k] == NOTHING);                              /* a forgotten key must not make another */
  fate[k] = what; used[k / MOST] = !saved[k / MOST]
}
inline capture(what) {
  assert(broken || keeps_of(k / MOST) == 0);               /* never charged twice */
  fate[k] = what
}
#define first_time (wire[k] && kept[k] == NOTHING)
#define fresh      (first_time && !used[k / MOST])
#define charging_by(m) (state[at(m, k / MOST)] == CALLING && call[at(m, k / MOST)] == CHARGE && number[at(m, k / MOST)] == k % MOST + 1)
#define charging(k) (charging_by(0) || charging_by(1))
proctype Gateway(byte k) {
end: do
  :: d_step { fresh -> new_intent(ACTION); capture(SUCCEEDED); keep(SUCCEEDED) }
  :: d_step { fresh -> new_intent(DECLINED); keep(DECLINED) }
  :: d_step { fresh -> new_intent(ACTION); keep(ACTION) }
  :: d_step { fresh -> new_intent(PROCESSING); keep(PROCESSING) }
  :: d_step { fresh && faults -> faults--; new_intent(ACTION); capture(OTHER_SUM); keep(OTHER_SUM) }
  :: d_step { fresh && faults -> faults--; new_intent(ACTION); capture(SUCCEEDED); keep(ERROR) }
  :: d_step { fresh && faults -> faults--; keep(ERROR) }
  :: d_step { fresh && faults && !saved[k / MOST] -> faults--; used[k / MOST] = 1; keep(ERROR) }
  :: d_step { fresh && faults -> faults--; keep(REFUSED) }
  :: d_step { first_time && used[k / MOST] -> keep(REFUSED) }
  :: d_step { first_time && faults -> faults--; wire[k]-- }                       /* lost */
  :: d_step { fate[k] == ACTION -> capture(SUCCEEDED) }                           /* the buyer acts, in time or not */
  :: d_step { fate[k] == ACTION -> fate[k] = DECLINED }
  :: d_step { fate[k] == PROCESSING -> capture(SUCCEEDED) }                       /* the bank has decided */
  :: d_step { fate[k] == PROCESSING -> fate[k] = DECLINED }
  :: d_step { voids[k] -> voids[k] = 0; fate[k] = (fate[k] == ACTION || fate[k] == DECLINED -> CLOSED : fate[k]) }
  :: d_step { voids[k] -> voids[k] = 0 }
  :: d_step { fate[k] != NOTHING && !listed[k] -> listed[k] = 1 }
  :: d_step { !old[k] && wire[k] == 0 && open[k / MOST] == k % MOST + 1 && !charging(k) && faults -> faults--; old[k] = 1; kept[k] = NOTHING }
  od
}

#ifdef NO_CAP                             /* a gateway that gives back more than it has taken */
#define refundable(k) true
#else
#define refundable(k) (given[k] == 0 && !pending(k))
#endif
inline answer_refund(t, result, what) {
  answer[t] = result; sent[t] = 0; money[t] = what; going[k] = going[k] + (what == PROCESSING);
  given[k] = given[k] + (what == SUCCEEDED); assert(given[k] <= 1)                /* given back once */
}
proctype Refunds(byte k, t) {             /* of a try */
end: do
  :: d_step { sent[t] && refundable(k) -> answer_refund(t, SUCCEEDED, SUCCEEDED) }
  :: d_step { sent[t] && refundable(k) && faults -> faults--; answer_refund(t, PROCESSING, PROCESSING) }
  :: d_step { sent[t] && refundable(k) && faults -> faults--; answer_refund(t, ERROR, SUCCEEDED) }
  :: d_step { sent[t] && faults -> faults--; answer_refund(t, ERROR, NOTHING) }
  :: d_step { sent[t] && faults -> faults--; answer_refund(t, REFUSED, NOTHING) }
  :: d_step { sent[t] && !refundable(k) -> answer_refund(t, ALREADY, NOTHING) }
  :: d_step { money[t] == PROCESSING -> money[t] = SUCCEEDED; going[k]--; given[k]++; assert(given[k] <= 1) }
  :: d_step { money[t] == PROCESSING && faults -> faults--; going[k]--; money[t] = DECLINED }
  :: d_step { money[t] == SUCCEEDED && faults -> faults--; money[t] = DECLINED; given[k]-- }      /* later */
  od
}

proctype Buyer(byte o) {                  /* may ask for a cancel, once */
end: do :: d_step { wish[o] == NO && faults -> faults--; wish[o] = PENDING } od
}

/* ---- what must hold ---- */

inline good_end(o) {
  assert(final(o) && open[o] == 0);                                  /* each order ends, no unit is held for ever, */
  assert(wish[o] != PENDING);                                        /* every command has its result, */
  assert(keeps_of(o) == (status[o] == CONFIRMED));                   /* the money of one capture is kept if and only if confirmed, */
  assert(status[o] != CONFIRMED || fate[key(o, paid[o])] == SUCCEEDED)        /* and it is the price */
}
proctype Always() {
  do
#if ORDERS > 1
  :: taken_by(0) && taken_by(1) -> assert(!(taken_by(0) && taken_by(1)))      /* never oversold */
#endif
  :: timeout -> break od;
  good_end(0)
#if ORDERS > 1
  ; good_end(1)
#endif
}

init { d_step {
    attempt_rows();
#ifdef GIVE_UP
    row(CALLING, CHARGE, ON_UNCLEAR, ENDED, CHARGE, DO_END_DECLINED);
#endif
#ifdef NO_VOID
    row(WAIT_BUYER, GET, ON_TIME_UP, ENDED, GET, DO_END_DECLINED);
#endif
#ifdef FREE_HELD
    row(CALLING, CANCEL, ON_PENDING, ENDED, CANCEL, DO_END_DECLINED);
#endif
#ifdef KEY_FOR_EVER
    row(CALLING, CHARGE, ON_KEPT, WAIT_RETRY, CHARGE, DO_NOTE);
#endif
#ifdef POLL_KEY
    row(CALLING, CHARGE, ON_PENDING, WAIT_RETRY, CHARGE, DO_NOTE_LATE);
#endif
#ifdef ANY_SUM
    row(RECONCILE, CHARGE, ON_FOUND_OTHER_SUM, ENDED, CHARGE, DO_END_CAPTURED);
#endif
#ifdef NEXT_AT_ONCE
    row(CALLING, CHARGE, ON_KEPT, ENDED, CHARGE, DO_END_SUPERSEDED);
#endif
#ifdef REFUND_AGAIN
    row(CALLING, REFUND, ON_UNCLEAR, ENDED, REFUND, DO_END_REFUND_AGAIN);
#endif
    n = 0 };
  atomic {
    if :: skip :: saved[0] = 1 fi;
    run Owner(0); run Owner(1); run Fault(0); run Fault(1);
    n = 0; do :: n < ORDERS -> run Attempt(0, n); run Attempt(1, n); run Operator(n); run Buyer(n); n++ :: else -> break od;
    n = 0; do :: n < KEYS -> run Gateway(n); n++ :: else -> break od;
    n = 0; do :: n < KEYS * TRIES -> run Refunds(n / TRIES, n); n++ :: else -> break od;
    n = 0; run Always()
} }
