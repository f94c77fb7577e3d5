// The customer's token, from the shop's own server.

const TURN = "maison-unique-turn";
const TURN_SECONDS = 10;
const TAKEN = "taken";
const TAKEN_SECONDS = 3600;
const LOOK_MS = 100;
const ANSWER_MS = 10 * 1000; // other tabs wait for their turn

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

const turn = () => new RegExp(`${TURN}=(\\w+)`).exec(document.cookie)?.[1];
const claim = (name, seconds) => { document.cookie = `${TURN}=${name}; path=/; samesite=strict; max-age=${seconds}`; };

async function ask() {
  const answer = await (await read("session")).json();
  claim(TAKEN, TAKEN_SECONDS); // from now on all tabs are the same customer
  return answer;
}

/** Tabs that are opened together take turns until one is signed in, so that a first visit makes one customer. */
export function session() {
  if (turn() === TAKEN) return ask();
  return navigator.locks ? behindLock() : inTurn();
}

/** Who gives up leaves the queue, and keeps no other tab waiting. */
async function behindLock() {
  const signal = AbortSignal.timeout(2 * ANSWER_MS);
  const answer = await navigator.locks.request("session", { signal }, () => (turn() === TAKEN ? null : ask()));
  return answer ?? ask();
}

/** Plain http has no locks: of the tabs that claim the first turn at once, that has it whose name stays in the cookie. */
async function inTurn() {
  const mine = Math.random().toString(36).slice(2);
  const end = Date.now() + 2 * TURN_SECONDS * 1000;
  while (navigator.cookieEnabled && ![mine, TAKEN].includes(turn()) && Date.now() < end) {
    if (!turn()) claim(mine, TURN_SECONDS);
    await pause(LOOK_MS);
  }
  try {
    return await ask();
  } finally {
    if (turn() === mine) claim("", 0);
  }
}
