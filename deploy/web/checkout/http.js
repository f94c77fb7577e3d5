// Calls to Checkout's producer.

const CALL_MS = 20 * 1000;
const LONGEST_WAIT_MS = 60 * 1000;

/** The login has changed: what belongs to the previous one is not sent. */
export class OtherLogin extends Error {}

/**
 * @typedef {object} Answer
 * @property {number} status 0: there was none, and what was asked may have been done
 * @property {any} body parsed, {} if it was no JSON
 * @property {number | null} retryAfter ms
 */

/** @param {string | null} header @param {number} now @returns {number | null} ms */
export function retryAfter(header, now) {
  if (!header) return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_WAIT_MS) : null;
}

const NOT_A_NO = new Set([401, 408, 425, 429]);

/**
 * Whether Checkout itself has said no. What a proxy or a café's login page puts in its place is none: it has no problem
 * of RFC 9457 in it, and says nothing about an order that was sent before.
 * @param {Answer} answer
 */
export const refuses = ({ status, body }) =>
  status >= 400 && status < 500 && !NOT_A_NO.has(status) && typeof body.type === "string" && body.type.startsWith("/problems/");

export class Api {
  /**
   * @param {object} parts
   * @param {string} parts.base
   * @param {import("./session.js").Session} parts.session
   * @param {typeof fetch} parts.fetch
   * @param {() => number} parts.now
   * @param {(reached: boolean) => void} parts.reached tells after each call whether the server answered
   */
  constructor({ base, session, fetch, now, reached }) {
    this.base = base.replace(/\/$/, "");
    this.session = session;
    this.fetch = fetch;
    this.now = now;
    this.reached = reached;
    this.quietUntil = 0;
  }

  /**
   * As `sub`, and nobody else. A refused token is renewed once.
   * @param {string} sub
   * @param {string} method
   * @param {string} path
   * @param {{ headers?: Record<string, string>, body?: object }} [more]
   * @returns {Promise<Answer>}
   * @throws {OtherLogin}
   */
  async as(sub, method, path, more = {}) {
    for (let attempt = 0; ; attempt += 1) {
      /** @type {import("./session.js").Login} */
      let login;
      try {
        login = await this.session.get();
      } catch {
        this.reached(false);
        return { status: 0, body: {}, retryAfter: null };
      }
      if (login.sub !== sub) throw new OtherLogin(`signed in as another than ${sub}`);
      const answer = await this.call(method, path, { ...more, headers: { ...more.headers, Authorization: `Bearer ${login.token}` } });
      if (answer.status !== 401) return answer;
      this.session.refused(login.token);
      if (attempt > 0) return answer;
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ headers?: Record<string, string>, body?: object }} [more]
   * @returns {Promise<Answer>}
   */
  async call(method, path, { headers = {}, body } = {}) {
    const pause = method === "GET" ? this.pause() : 0;
    if (pause > 0) return { status: 503, body: {}, retryAfter: pause };
    const impatience = new AbortController();
    const timer = setTimeout(() => impatience.abort(), CALL_MS);
    try {
      const answer = await this.fetch(this.base + path, {
        method,
        headers: body ? { ...headers, "Content-Type": "application/json" } : headers,
        body: body && JSON.stringify(body),
        signal: impatience.signal,
        credentials: "omit",
      });
      const text = await answer.text(); // an answer that is cut off is none
      this.reached(answer.status < 500 || answer.headers.has("Retry-After"));
      const wait = retryAfter(answer.headers.get("Retry-After"), this.now());
      if (method === "GET" && (answer.status === 429 || answer.status === 503)) this.quietUntil = this.now() + (wait ?? 0);
      return { status: answer.status, body: parse(text), retryAfter: wait };
    } catch {
      this.reached(false);
      return { status: 0, body: {}, retryAfter: null };
    } finally {
      clearTimeout(timer);
    }
  }

  /** For how many ms the server wants no questions. An order that is sent has its own Retry-After. */
  pause() {
    const left = this.quietUntil - this.now();
    return left <= LONGEST_WAIT_MS ? left : 0; // more than one may ask for: the clock was set back
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
