// English. Another language is a file like this one, named in ../words.js.

const REASONS = {
  sold_out: "Sold out: somebody before you in line got the last one. You were not charged.",
  payment_declined: "Your bank declined the card. You were not charged. Choose another card to try again, or ask your bank why.",
  payment_failed: "The payment could not be made. You were not charged.",
  not_on_sale: "This item was not on sale at that moment. You were not charged.",
  unknown_item: "The shop does not know this item any more.",
  challenge_required: "The shop could not see that you are a person. You were not charged.",
  price_changed: "The price has changed since you saw it. You were not charged: look at it again, and buy if you still want it.",
  expired: "You waited the longest time we ask of anyone. You were not charged.",
  invalid: "The order could not be read. You were not charged.",
};

const PAYMENT_PROBLEMS = {
  use_another_method: "This card cannot be used here. You were not charged. Choose another one to try again.",
  amount: "The card does not take this amount. You were not charged. Another card may.",
  currency: "The card does not pay in this currency. You were not charged. Another card may.",
  try_again: "The payment did not go through, and another try may. You were not charged.",
};

const REFUSED_FIELDS = {
  receipt_email: "The e-mail address is not accepted. You were not charged. Correct it to try again.",
};

const PROBLEMS = {
  "/problems/sold-out": "Sold out. You were not charged.",
  "/problems/item-in-another-cart": "Somebody else is buying it right now. It may become free again: try again in a moment.",
  "/problems/not-open-yet": "The sale has not begun. You were not charged.",
  "/problems/sale-closed": "The sale is over. You were not charged.",
  "/problems/unknown-item": "The shop does not know this item any more. You were not charged.",
  "/problems/challenge-required": "The shop wants to know first that you are a person.",
  forgotten: "You let it go. If it had reached the shop after all, it is in this list too, and you can leave the line there.",
  "unknown-order": "The shop knows no such order. Look at your other orders, or ask the shop.",
};

export default {
  code: "en",
  name: "English",
  page: {
    title: "Maison Unique: one of a kind, sold once",
    motto: "One of a kind, sold once.",
    skip: "To the shelf",
    pay: "Pay with",
    hint: "Demo cards: no money moves.",
    shelf: "On the shelf",
    orders: "Your orders",
    none: "Nothing yet. Press a “Buy now”, twice if you like: you will be charged once.",
    foot: "A demonstration of Checkout. Every click is a durable order, every item has one line, and the first in line gets it.",
    language: "Language",
    inbox: "Your mails",
  },
  cards: {
    visa: "Visa, pays",
    mastercard: "Mastercard, pays",
    asks: "Card whose bank asks you (3‑D Secure)",
    declined: "Card that is declined",
    funds: "Card without funds",
  },
  connection: {
    offline: "offline", unreachable: "no answer", ready: "ready", connecting: "connecting", live: "live", reconnecting: "reconnecting",
  },
  notice: {
    offline: "You are offline. What you see may be old. An order that you press now is kept, and sent when you are back.",
    unreachable: "The shop does not answer at the moment. What you see may be old. An order that you press now is kept, and sent as soon as it answers.",
    unstored: "This browser keeps nothing for this page. If the connection breaks while you buy, look at your orders before you press again.",
    signedOut: "You could not be signed in, so nothing can be ordered at the moment. The page tries again by itself.",
  },
  item: {
    quantity: (title) => `How many: ${title}`,
    left: (n) => `${n} left`,
    spoken: (waiting) => (waiting > 0 ? `All spoken for, ${waiting} in line` : "All spoken for"),
    soldOut: "Sold out",
    closed: "Sale over",
    paused: "Sales are paused; your place is kept",
    opens: (when, left) => `Opens ${when}, in ${left}`,
    unknown: "Not known just now",
    buy: "Buy now",
    join: "Join the line",
    soon: "Not open yet",
  },
  order: {
    number: (id) => `order ${id}`,
    act: "Confirm at your bank",
    leave: "Leave the line",
    give: "Give it up",
    leaving: "Leaving the line…",
    tooLate: "Too late to leave: it is being paid for.",
    notLeft: "The shop did not answer. You are still in line; try again.",
    send: "Send it",
    forget: "Forget it",
    payWith: "Pay with",
    again: "Try again",
    notify: "Tell me when it is my turn",
    until: (when, left) => `Held for you until ${when} (${left} left).`,
    turnIn: (minutes) => (minutes === 1 ? "It may be your turn within a minute." : `It may be your turn in about ${minutes} minutes.`),
    waitUntil: (when, left) => `You keep your place until ${when} (${left} left).`,
  },
  turn: "Your turn",
  turnBody: (title) => `${title}: confirm the payment at your bank.`,
  yours: "It is yours",

  /** The tone, badge and sentence for an order. `most`: how many of it one customer may have, if known. */
  describe(order, most) {
    switch (order.status) {
      case "sending":
        return ["wait", "Sending", sending(order)];
      case "unsure":
        return ["ask", "Your decision", "This order got no answer, and that was a while ago. Do you still want it? Sent again it stays one order, even if it had arrived."];
      case "refused":
        return ["bad", "Not taken", PROBLEMS[order.problem?.type] || order.problem?.detail || order.problem?.title || "The shop did not take this order."];
      case "queued":
        return ["wait", "In line", order.message || "We're reserving your item! We'll confirm your order shortly."];
      case "waiting":
        return ["wait", "Waiting", place(order)];
      case "reserved":
        return order.next_action ? ["act", "Your turn", "It is yours for now: your bank wants you to confirm the payment."] :
          ["wait", "Reserved", "It is yours for now: your card is being charged."];
      case "confirmed":
        return ["good", "Confirmed", "It is yours. Thank you!"];
      case "cancelled":
        return ["gone", "Cancelled", "You left the line. You were not charged."];
      case "refunded":
        return ["gone", "Refunded", "Your money is on its way back."];
      default:
        return ["bad", "Not sold", rejection(order, most)];
    }
  },
};

function sending(order) {
  if (!order.retrying) return "Sending your order…";
  if (order.problem?.status === 429) return "The shop takes only so many orders at a time from one customer. This one is kept, and sent again by itself.";
  if (order.problem?.status && order.problem.type !== "/problems/accept-unknown") return "The shop is busy. Your order is kept, and sent again by itself.";
  return "No answer yet. Your order is kept, and sent again by itself: you will be charged once.";
}

function place(order) {
  const line = order.paused ? "Sales are paused; your place is kept." : "All are spoken for.";
  if (!order.place_in_line) return `${line} You are in line, in case one comes free.`;
  if (order.place_in_line === 1) return `${line} You are next in line.`;
  return `${line} You are number ${order.place_in_line} in line.`;
}

function rejection(order, most) {
  if (order.reason === "limit_exceeded") {
    return most ? `One customer may have ${most} of it, and with this order you would have more. You were not charged.` :
      "That is more than one customer may have of it. You were not charged.";
  }
  if (order.reason === "payment_failed" && order.param in REFUSED_FIELDS) return REFUSED_FIELDS[order.param];
  if (order.reason === "payment_failed" && order.payment_problem in PAYMENT_PROBLEMS) return PAYMENT_PROBLEMS[order.payment_problem];
  return REASONS[order.reason] || "The order was not accepted. You were not charged.";
}
