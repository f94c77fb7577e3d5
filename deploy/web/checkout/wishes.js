// Wishes: what a buyer has pressed "buy" for, kept in the browser's storage from before it is sent.
//
// A wish is stored before its POST, so that a reload finds it and sends it again under the same key: it is one order
// however often it arrives. It belongs to the login (`sub`) that it was made under and is never sent under another.
// One entry for each wish, since several tabs write at once.

const PREFIX = "checkout:wish:";
const DAY_MS = 24 * 3600 * 1000;
/** Older wishes are asked about before they are sent: their buyer may have bought elsewhere meanwhile. */
export const ASK_AFTER_MS = 2 * 60 * 1000;

/**
 * The body of POST /v1/orders.
 * @typedef {object} OrderBody
 * @property {string} sku
 * @property {number} quantity
 * @property {string} payment_method the gateway's reference, never a card
 * @property {string} [receipt_email]
 * @property {number} [unit_price] minor units: what the buyer saw
 * @property {string} [reference]
 * @property {string} [locale] the buyer's language for mails, e.g. "pt-BR"
 */
/**
 * @typedef {object} Wish
 * @property {string} key Idempotency-Key
 * @property {string} sub
 * @property {string} sku
 * @property {number} quantity
 * @property {number} at when it was made, ms of the browser's clock
 * @property {number} [sure] when its buyer last said "send it", if asked
 * @property {OrderBody} [body] absent once it was answered: card reference and e-mail are kept no longer
 * @property {string} [id] of the order, once it was accepted
 */

/** The browser's storage, or null where a page may not use it. */
export function browserStorage() {
  try {
    return globalThis.localStorage ?? null; // the mere look throws where storage is forbidden
  } catch {
    return null;
  }
}

/** @param {any} wish @returns {wish is Wish} */
function isWish(wish) {
  return typeof wish?.key === "string" && typeof wish.sub === "string" && typeof wish.sku === "string" &&
    typeof wish.at === "number" && (typeof wish.id === "string" || typeof wish.body === "object");
}

export class Wishes {
  /**
   * @param {Storage | null} storage
   * @param {() => number} now
   */
  constructor(storage, now) {
    this.storage = storage;
    this.now = now;
  }

  /** Whether storage takes and keeps what is put there. */
  durable() {
    const probe = `${PREFIX}probe`;
    try {
      if (!this.storage) return false;
      this.storage.setItem(probe, "1");
      const kept = this.storage.getItem(probe) === "1";
      this.storage.removeItem(probe);
      return kept;
    } catch {
      return false;
    }
  }

  /** @param {Wish} wish @returns {boolean} false: it could not be stored */
  save(wish) {
    try {
      if (!this.storage) return false;
      this.storage.setItem(PREFIX + wish.key, JSON.stringify(wish));
      return true;
    } catch {
      return false;
    }
  }

  /**
   * The order was accepted: what is needed to find it stays, card reference and e-mail go.
   * @param {Wish} wish
   * @param {string} id
   */
  accepted(wish, id) {
    const { key, sub, sku, quantity, at } = wish;
    // full storage may refuse the shorter text too: then all of it goes, and the server's list has the order
    if (!this.save({ key, sub, sku, quantity, at, id })) this.remove(key);
  }

  /** @param {string} key */
  remove(key) {
    try {
      this.storage?.removeItem(PREFIX + key);
    } catch {
      // storage was forbidden meanwhile
    }
  }

  /** @param {string | null} name of a storage entry @returns {Wish | null} */
  read(name) {
    try {
      if (!name?.startsWith(PREFIX)) return null;
      const wish = JSON.parse(this.storage?.getItem(name) ?? "null");
      return isWish(wish) && PREFIX + wish.key === name ? wish : null;
    } catch {
      return null;
    }
  }

  /** @param {Wish} wish @returns {boolean} */
  ended(wish) {
    return Math.abs(this.now() - wish.at) > DAY_MS;
  }

  /** Whether it may be sent without asking. A wish of the future is none that this clock can judge. @param {Wish} wish */
  fresh(wish) {
    const age = this.now() - (wish.sure ?? wish.at);
    return !this.ended(wish) && age >= -ASK_AFTER_MS && age <= ASK_AFTER_MS;
  }

  /**
   * The wishes of one login, oldest first. What has ended, whosesoever it is, and what cannot be read is removed.
   * @param {string} sub
   * @returns {Wish[]}
   */
  of(sub) {
    /** @type {Wish[]} */
    const mine = [];
    for (const name of this.names()) {
      const wish = this.read(name);
      if (!wish || this.ended(wish)) this.remove(name.slice(PREFIX.length));
      else if (wish.sub === sub) mine.push(wish);
    }
    return mine.sort((a, b) => a.at - b.at);
  }

  /** @returns {string[]} */
  names() {
    try {
      const names = [];
      for (let i = 0; i < (this.storage?.length ?? 0); i += 1) names.push(this.storage?.key(i) ?? "");
      return names.filter((name) => name.startsWith(PREFIX));
    } catch {
      return [];
    }
  }
}

/** A key that nobody has used. crypto.randomUUID is absent on plain http; getRandomValues is not. @returns {string} */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
