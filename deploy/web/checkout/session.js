// Who the buyer is: the token that the shop's own backend signs.

const RENEW_BEFORE_MS = 60 * 1000;
const SHORTEST_MS = 5 * 1000;
const ASK_MS = 20 * 1000;

/**
 * What the page's `session` function gives.
 * @typedef {object} SessionAnswer
 * @property {string} token the JWT for Checkout
 * @property {string} [sub] only where the token cannot be read: who it is for
 * @property {number} [expires_in] seconds, likewise
 */
/** @typedef {{ token: string, sub: string, renewAt: number }} Login */

/** @param {string} token @returns {{ sub?: string, iat?: number, exp?: number }} */
function claims(token) {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

/** @template T @param {Promise<T>} asked @param {number} ms @returns {Promise<T>} */
function inTime(asked, ms) {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error("session() took too long")), ms);
    Promise.resolve(asked).then(done, fail).finally(() => clearTimeout(timer));
  });
}

export class Session {
  /**
   * @param {() => Promise<SessionAnswer>} ask
   * @param {() => number} now
   * @param {number} longest ms that an answer may take
   */
  constructor(ask, now, longest = ASK_MS) {
    this.ask = ask;
    this.now = now;
    this.longest = longest;
    /** @type {Login | null} */
    this.login = null;
    /** @type {Promise<Login> | null} */
    this.asking = null;
    this.failing = false; // the last time it was asked
  }

  /** The login; asks the page for one at most once at a time, however many calls need it. @returns {Promise<Login>} */
  async get() {
    if (this.login && this.now() < this.login.renewAt) return this.login;
    this.asking ??= this.signIn().then(
      (login) => { this.failing = false; return login; },
      (error) => { this.failing = true; throw error; },
    ).finally(() => { this.asking = null; });
    return this.asking;
  }

  async signIn() {
    const answer = await inTime(this.ask(), this.longest);
    if (typeof answer?.token !== "string") throw new TypeError("session() gave no token");
    const { sub = answer.sub, iat, exp } = claims(answer.token);
    if (typeof sub !== "string") throw new TypeError("session() gave a token without sub");
    // a lifetime, since the browser's clock may be wrong
    const seconds = exp && iat ? exp - iat : answer.expires_in ?? (exp ? exp - this.now() / 1000 : 300);
    const renewAt = this.now() + Math.max(seconds * 1000 - RENEW_BEFORE_MS, SHORTEST_MS);
    this.login = { token: answer.token, sub, renewAt };
    return this.login;
  }

  /** Who it is may have changed: the next call asks. */
  forget() {
    this.login = null;
  }

  /** This token was refused: the next call asks for another. @param {string} token */
  refused(token) {
    if (this.login?.token === token) this.login = null;
  }
}
