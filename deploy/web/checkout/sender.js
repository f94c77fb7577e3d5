// Sends wishes: each under its one key, until somebody has clearly said yes or no, or its time is over.

import { refuses } from "./http.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8 * 1000;

/**
 * What became of sending a wish. `unsure`: nobody has answered for as long as one may try without asking.
 * @typedef {{ how: "accepted", body: any } | { how: "refused", problem: import("./orders.js").Problem, unheard: boolean }
 *   | { how: "unsure" } | { how: "stopped" }} Outcome
 */

export class Sender {
  /**
   * @param {object} parts
   * @param {import("./http.js").Api} parts.api
   * @param {(wish: import("./wishes.js").Wish) => boolean} parts.fresh whether it may still be sent without asking
   */
  constructor({ api, fresh }) {
    this.api = api;
    this.fresh = fresh;
    /** @type {Set<() => void>} */
    this.sleeping = new Set();
    this.stopped = false;
  }

  /** The network is back: no reason to wait. */
  hurry() {
    for (const wake of this.sleeping) wake();
  }

  stop() {
    this.stopped = true;
    this.hurry();
  }

  /**
   * @param {import("./wishes.js").Wish} wish
   * @param {(problem: import("./orders.js").Problem) => void} trying told of each attempt without a clear answer
   * @returns {Promise<Outcome>}
   * @throws {import("./http.js").OtherLogin}
   */
  async send(wish, trying) {
    let unheard = false;
    for (let attempt = 0; ; attempt += 1) {
      if (this.stopped) return { how: "stopped" };
      if (!this.fresh(wish)) return { how: "unsure" };
      const answer = await this.api.as(wish.sub, "POST", "/v1/orders",
        { headers: { "Idempotency-Key": wish.key }, body: wish.body });
      const { status, body, retryAfter } = answer;
      if (status === 202 && typeof body.id === "string") return { how: "accepted", body };
      if (refuses(answer)) return { how: "refused", problem: { status, ...body }, unheard };
      unheard ||= status !== 429;
      trying({ status, ...body });
      const backoff = Math.min(FIRST_WAIT_MS * 2 ** attempt, LONGEST_WAIT_MS);
      await this.sleep((retryAfter ?? backoff) * (1 + Math.random() / 4));
    }
  }

  /** @param {number} ms */
  sleep(ms) {
    return /** @type {Promise<void>} */ (new Promise((done) => {
      const wake = () => {
        clearTimeout(timer);
        this.sleeping.delete(wake);
        done();
      };
      const timer = setTimeout(wake, ms);
      this.sleeping.add(wake);
    }));
  }
}
