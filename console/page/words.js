// Numbers as people read them.

/** Milliseconds: "85 ms", "4.2 s", "12 min", "3.5 h". */
export function age(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7200000) return `${Math.round(ms / 60000)} min`;
  if (ms < 172800000) return `${(ms / 3600000).toFixed(1)} h`;
  return `${Math.round(ms / 86400000)} days`;
}

/** The time of day of a moment, in the browser's zone: "03:07:41". */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

export function count(number) {
  return Number(number).toLocaleString("en");
}

/** A number a second: "0", "0.4", "12", "1,240". */
export function rate(number) {
  if (number === null || number === undefined) return "–";
  return number > 0 && number < 10 ? number.toFixed(1) : count(Math.round(number));
}

/** "1 order", "3 orders". */
export function many(number, noun) {
  return `${count(number)} ${noun}${Number(number) === 1 ? "" : "s"}`;
}

// Decimals of the gateway's minor units, which a currency is not always written with: it counts HUF and ISK in hundredths.
const NONE = new Set(["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]);
const THREE = new Set(["bhd", "jod", "kwd", "omr", "tnd"]);

/** An amount in the gateway's minor units of the currency. */
export function money(amount, currency) {
  const digits = NONE.has(currency) ? 0 : THREE.has(currency) ? 3 : 2;
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits })
      .format(amount / 10 ** digits);
  } catch {
    return `${amount} ${currency}`;
  }
}
