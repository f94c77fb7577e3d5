// What is on sale.

/**
 * An item as GET /v1/items/{sku} has it.
 * @typedef {object} Item
 * @property {string} sku
 * @property {string} title
 * @property {number} price
 * @property {string} currency
 * @property {number} available
 * @property {"on_sale" | "sold_out" | "paused" | "upcoming" | "closed"} state
 * @property {string} [challenge] what the claim `human` of the token must name
 * @property {string} [opens_at]
 * @property {string} [closes_at]
 * @property {number} [waiting]
 * @property {number} [limit_per_user]
 */

/**
 * @param {import("./http.js").Api} api
 * @param {string} sku
 * @returns {Promise<Item | null>}
 */
export async function getItem(api, sku) {
  const { status, body } = await api.call("GET", `/v1/items/${encodeURIComponent(sku)}`);
  if (status === 404) return null;
  if (status !== 200) throw new Error(`the shop answered ${status}`);
  return body;
}
