// Amounts are whole numbers of the payment gateway's minor units. Those are not the decimals that a currency is
// usually written with: the gateway counts HUF, ISK, UGX and IDR in hundredths, though their prices have none.

const NONE = new Set(["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]);
const THREE = new Set(["bhd", "jod", "kwd", "omr", "tnd"]);
const WHOLE = new Set(["huf", "idr", "isk", "ugx"]); // not every browser knows it

/**
 * How many decimals the gateway's minor unit of a currency has.
 * @param {string} currency ISO 4217, in either case
 * @returns {number}
 */
export function minorDigits(currency) {
  const code = currency.toLowerCase();
  if (NONE.has(code)) return 0;
  return THREE.has(code) ? 3 : 2;
}

/**
 * An amount as people write it. A currency that is usually written without decimals shows them only if there are any.
 * @param {number} amount in minor units
 * @param {string} currency
 * @param {string | string[]} [locale] the browser's if absent
 * @returns {string}
 */
export function money(amount, currency, locale) {
  const digits = minorDigits(currency);
  const style = /** @type {const} */ ({ style: "currency", currency: currency.toUpperCase() });
  const known = new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits ?? 2;
  const usual = WHOLE.has(currency.toLowerCase()) ? 0 : known;
  const shown = amount % 10 ** Math.max(digits - usual, 0) === 0 ? Math.min(usual, digits) : digits;
  const format = new Intl.NumberFormat(locale, { ...style, minimumFractionDigits: shown, maximumFractionDigits: shown });
  return format.format(amount / 10 ** digits);
}
