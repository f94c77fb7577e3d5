// What states, reasons and problems are called on the page.

export const CARDS = [
  { method: "pm_card_visa", label: "Visa, pays" },
  { method: "pm_card_mastercard", label: "Mastercard, pays" },
  { method: "pm_card_threeDSecure2Required", label: "Card whose bank asks you (3-D Secure)" },
  { method: "pm_card_chargeDeclined", label: "Card that is declined" },
  { method: "pm_card_chargeDeclinedInsufficientFunds", label: "Card without funds" },
];

const REASONS = {
  sold_out: "Sold out: somebody before you in line got the last one. You were not charged.",
  payment_declined: "Your bank declined the card. You were not charged, and the next in line is being served.",
  payment_failed: "The payment could not be made with this card. You were not charged.",
  limit_exceeded: "That is more than one customer may have of it.",
  unknown_item: "This item is not known.",
  not_on_sale: "This item is not on sale at the moment.",
  price_changed: "The price has changed since you saw it. Please look again.",
  expired: "You waited the longest time we ask of anyone. You were not charged.",
  invalid: "The order could not be read.",
};

// The tone, badge and sentence for an order as the server tells it.
export function describe(order) {
  switch (order.status) {
    case "sending":
      return { tone: "wait", badge: "Sending", say: "Sending your order…" };
    case "queued":
      return { tone: "wait", badge: "In line", say: order.message
        || "We're reserving your item! We'll confirm your order shortly." };
    case "waiting":
      return { tone: "wait", badge: "Waiting", say: placeInLine(order.place_in_line) };
    case "reserved":
      if (order.next_action) return { tone: "wait", badge: "Your turn",
        say: "It is yours for now: your bank wants you to confirm the payment." };
      return { tone: "wait", badge: "Reserved", say: "It is yours for now: your card is being charged." };
    case "confirmed":
      return { tone: "good", badge: "Confirmed", say: "It is yours. Thank you!" };
    case "rejected":
      return { tone: "bad", badge: "Not sold", say: REASONS[order.reason] || "The order was rejected." };
    case "cancelled":
      return { tone: "bad", badge: "Cancelled", say: "You cancelled this order." };
    case "refunded":
      return { tone: "bad", badge: "Refunded", say: "Your money is on its way back." };
    default:
      return { tone: "bad", badge: "Problem", say: order.problem || "Something went wrong." };
  }
}

function placeInLine(place) {
  if (!place) return "All are spoken for. You are in line, in case one comes back.";
  if (place === 1) return "All are spoken for. You are next in line, should one come back.";
  return `All are spoken for. You are number ${place} in line.`;
}

export const FINAL = new Set(["confirmed", "rejected", "cancelled", "refunded", "problem"]);

export function money(amount, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency: currency.toUpperCase() });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}
