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

/** An amount in the currency's smallest unit. */
export function money(amount, currency) {
  try {
    const format = new Intl.NumberFormat("en", { style: "currency", currency });
    return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${amount} ${currency}`;
  }
}
