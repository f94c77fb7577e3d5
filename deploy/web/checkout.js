/**
 * Checkout for web pages: orders that are sent once however often the network fails, and their news.
 *
 *     import { Checkout, money } from "./checkout.js";
 *     const checkout = new Checkout({ api: "https://api.shop.example", session: () => fetchJson("/session") });
 *     checkout.on("change", (order) => draw(order));
 *     await checkout.start();
 *     checkout.buy({ sku: "dress-1920s", quantity: 1, payment_method: "pm_…" });
 *
 * No dependencies, and no need of a secure context. README.md beside this file is the guide.
 * @module
 */
export { Checkout } from "./checkout/client.js";
export { isFinal } from "./checkout/orders.js";
export { minorDigits, money } from "./checkout/money.js";

/** @typedef {import("./checkout/client.js").Options} Options */
/** @typedef {import("./checkout/client.js").Connection} Connection */
/** @typedef {import("./checkout/items.js").Item} Item */
/** @typedef {import("./checkout/orders.js").Order} Order */
/** @typedef {import("./checkout/orders.js").Problem} Problem */
/** @typedef {import("./checkout/wishes.js").OrderBody} OrderBody */
