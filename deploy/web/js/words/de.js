// Deutsch. What each entry is for: en.js.

const REASONS = {
  sold_out: "Ausverkauft: jemand vor Ihnen in der Reihe hat das letzte Stück bekommen. Ihnen wurde nichts berechnet.",
  payment_declined: "Ihre Bank hat die Karte abgelehnt. Ihnen wurde nichts berechnet. Versuchen Sie es mit einer anderen Karte, oder fragen Sie Ihre Bank.",
  payment_failed: "Die Zahlung kam nicht zustande. Ihnen wurde nichts berechnet.",
  not_on_sale: "Dieser Artikel war in dem Moment nicht im Verkauf. Ihnen wurde nichts berechnet.",
  unknown_item: "Der Laden führt diesen Artikel nicht mehr.",
  challenge_required: "Der Laden konnte nicht sehen, dass Sie ein Mensch sind. Ihnen wurde nichts berechnet.",
  price_changed: "Der Preis ist inzwischen ein anderer. Ihnen wurde nichts berechnet: sehen Sie ihn an und kaufen Sie, wenn Sie noch wollen.",
  expired: "Sie haben so lange gewartet, wie wir es höchstens verlangen. Ihnen wurde nichts berechnet.",
  invalid: "Die Bestellung war nicht lesbar. Ihnen wurde nichts berechnet.",
};

const PAYMENT_PROBLEMS = {
  use_another_method: "Diese Karte geht hier nicht. Ihnen wurde nichts berechnet. Nehmen Sie eine andere.",
  amount: "Die Karte nimmt diesen Betrag nicht an. Ihnen wurde nichts berechnet. Eine andere vielleicht.",
  currency: "Die Karte zahlt nicht in dieser Währung. Ihnen wurde nichts berechnet. Eine andere vielleicht.",
  try_again: "Die Zahlung kam nicht zustande, ein weiterer Versuch kann gelingen. Ihnen wurde nichts berechnet.",
};

const REFUSED_FIELDS = {
  receipt_email: "Die E-Mail-Adresse wird nicht angenommen. Ihnen wurde nichts berechnet. Bitte berichtigen Sie sie.",
};

const PROBLEMS = {
  "/problems/sold-out": "Ausverkauft. Ihnen wurde nichts berechnet.",
  "/problems/item-in-another-cart": "Gerade kauft es jemand anders. Vielleicht wird es wieder frei: versuchen Sie es gleich noch einmal.",
  "/problems/not-open-yet": "Der Verkauf hat noch nicht begonnen. Ihnen wurde nichts berechnet.",
  "/problems/sale-closed": "Der Verkauf ist vorbei. Ihnen wurde nichts berechnet.",
  "/problems/unknown-item": "Der Laden führt diesen Artikel nicht mehr. Ihnen wurde nichts berechnet.",
  "/problems/challenge-required": "Der Laden möchte zuerst wissen, dass Sie ein Mensch sind.",
  forgotten: "Sie haben sie aufgegeben. Falls sie den Laden doch erreicht hat, steht sie auch in dieser Liste; dort können Sie die Reihe verlassen.",
  "unknown-order": "Der Laden kennt diese Bestellung nicht. Sehen Sie nach Ihren anderen Bestellungen, oder fragen Sie den Laden.",
};

export default {
  code: "de",
  name: "Deutsch",
  page: {
    title: "Maison Unique: Einzelstücke, einmal verkauft",
    motto: "Einzelstücke, einmal verkauft.",
    skip: "Zum Regal",
    pay: "Zahlen mit",
    hint: "Karten zum Üben: es fließt kein Geld.",
    shelf: "Im Regal",
    orders: "Ihre Bestellungen",
    none: "Noch nichts. Drücken Sie „Kaufen“, gern zweimal: berechnet wird es einmal.",
    foot: "Eine Vorführung von Checkout. Jeder Klick ist eine Bestellung, die nicht verloren geht, jeder Artikel hat eine Reihe, und wer vorn steht, bekommt ihn.",
    language: "Sprache",
    inbox: "Ihre E-Mails",
  },
  cards: {
    visa: "Visa, zahlt",
    mastercard: "Mastercard, zahlt",
    asks: "Karte, deren Bank nachfragt (3‑D Secure)",
    declined: "Karte, die abgelehnt wird",
    funds: "Karte ohne Deckung",
  },
  connection: {
    offline: "offline", unreachable: "keine Antwort", ready: "bereit", connecting: "verbinde", live: "live", reconnecting: "verbinde neu",
  },
  notice: {
    offline: "Sie sind offline. Was Sie sehen, ist vielleicht alt. Eine Bestellung von jetzt wird aufgehoben und gesendet, sobald Sie zurück sind.",
    unreachable: "Der Laden antwortet gerade nicht. Was Sie sehen, ist vielleicht alt. Eine Bestellung von jetzt wird aufgehoben und gesendet, sobald er antwortet.",
    unstored: "Dieser Browser hebt für diese Seite nichts auf. Bricht die Verbindung beim Kaufen ab, sehen Sie nach Ihren Bestellungen, bevor Sie noch einmal drücken.",
    signedOut: "Die Anmeldung gelang nicht; so lange kann nichts bestellt werden. Die Seite versucht es von selbst noch einmal.",
  },
  item: {
    quantity: (title) => `Wie viele: ${title}`,
    left: (n) => `noch ${n}`,
    spoken: (waiting) => (waiting > 0 ? `Alle vergeben, ${waiting} in der Reihe` : "Alle vergeben"),
    soldOut: "Ausverkauft",
    closed: "Verkauf beendet",
    paused: "Der Verkauf ruht; Ihr Platz bleibt Ihnen",
    opens: (when, left) => `Ab ${when}, in ${left}`,
    unknown: "Gerade nicht bekannt",
    buy: "Kaufen",
    join: "Anstellen",
    soon: "Noch nicht offen",
  },
  order: {
    number: (id) => `Bestellung ${id}`,
    act: "Bei der Bank bestätigen",
    leave: "Reihe verlassen",
    give: "Aufgeben",
    leaving: "Sie verlassen die Reihe…",
    tooLate: "Dafür ist es zu spät: es wird gerade bezahlt.",
    notLeft: "Der Laden hat nicht geantwortet. Sie stehen noch in der Reihe; versuchen Sie es noch einmal.",
    send: "Senden",
    forget: "Aufgeben",
    payWith: "Zahlen mit",
    again: "Noch einmal versuchen",
    notify: "Sagen Sie mir, wenn ich dran bin",
    until: (when, left) => `Für Sie zurückgelegt bis ${when} (noch ${left}).`,
    turnIn: (minutes) => (minutes === 1 ? "Vielleicht sind Sie in einer Minute dran." : `Vielleicht sind Sie in etwa ${minutes} Minuten dran.`),
    waitUntil: (when, left) => `Ihr Platz bleibt Ihnen bis ${when} (noch ${left}).`,
  },
  turn: "Sie sind dran",
  turnBody: (title) => `${title}: bestätigen Sie die Zahlung bei Ihrer Bank.`,
  yours: "Es gehört Ihnen",
  items: {
    "dress-1920s": { kicker: "Eins von einem", title: "Perlenbesticktes Abendkleid, 1926",
      story: "Seidenchiffon, neuntausend von Hand genähte Glasperlen, einmal getragen. Ein zweites gibt es nicht." },
    "vip-pass": { kicker: "100, nummeriert", title: "VIP-Pass, Premierenabend",
      story: "Vordere Reihen, die Bar auf dem Rang, danach die Band. Hundert Menschen, dann schließt die Tür." },
    "sneaker-drop": { kicker: "Zwölf Paar", title: "Comet-Laufschuh, nummeriert",
      story: "Von Hand geleistet, leuchtende Lasche, eine Nummer an der Ferse. Zwölf Paar gibt es, mehr werden es nicht." },
    "vinyl-pressing": { kicker: "Dreißig, signiert", title: "Erste Pressung, signiert",
      story: "Die ersten dreißig aus der Presse, mit den Bleistiftzeichen aller, die darauf spielen." },
  },

  describe(order, most) {
    switch (order.status) {
      case "sending":
        return ["wait", "Wird gesendet", sending(order)];
      case "unsure":
        return ["ask", "Sie entscheiden", "Diese Bestellung blieb ohne Antwort, und das ist eine Weile her. Wollen Sie es noch? Noch einmal gesendet bleibt sie eine Bestellung, auch wenn sie angekommen war."];
      case "refused":
        return ["bad", "Nicht angenommen", PROBLEMS[order.problem?.type] || "Der Laden hat diese Bestellung nicht angenommen."];
      case "queued":
        return ["wait", "In der Reihe", "Wir reservieren Ihr Stück. Gleich sagen wir Ihnen Bescheid."];
      case "waiting":
        return ["wait", "Wartet", place(order)];
      case "reserved":
        return order.next_action ? ["act", "Sie sind dran", "Es gehört vorerst Ihnen: Ihre Bank möchte, dass Sie die Zahlung bestätigen."] :
          ["wait", "Reserviert", "Es gehört vorerst Ihnen: Ihre Karte wird belastet."];
      case "confirmed":
        return ["good", "Bestätigt", "Es gehört Ihnen. Danke!"];
      case "cancelled":
        return ["gone", "Storniert", "Sie haben die Reihe verlassen. Ihnen wurde nichts berechnet."];
      case "refunded":
        return ["gone", "Erstattet", "Ihr Geld ist auf dem Weg zurück."];
      default:
        return ["bad", "Nicht verkauft", rejection(order, most)];
    }
  },
};

function sending(order) {
  if (!order.retrying) return "Ihre Bestellung wird gesendet…";
  if (order.problem?.status === 429) return "Der Laden nimmt von jedem Kunden nur so viele Bestellungen auf einmal. Diese ist aufgehoben und wird von selbst noch einmal gesendet.";
  if (order.problem?.status && order.problem.type !== "/problems/accept-unknown") return "Im Laden ist viel los. Ihre Bestellung ist aufgehoben und wird von selbst noch einmal gesendet.";
  return "Noch keine Antwort. Ihre Bestellung ist aufgehoben und wird von selbst noch einmal gesendet: berechnet wird sie einmal.";
}

function place(order) {
  const line = order.paused ? "Der Verkauf ruht; Ihr Platz bleibt Ihnen." : "Alle sind vergeben.";
  if (!order.place_in_line) return `${line} Sie stehen in der Reihe, falls ein Stück frei wird.`;
  if (order.place_in_line === 1) return `${line} Sie sind als Nächstes dran.`;
  return `${line} Sie stehen an Stelle ${order.place_in_line}.`;
}

function rejection(order, most) {
  if (order.reason === "limit_exceeded") {
    return most ? `Jeder Kunde kann ${most} davon haben, mit dieser Bestellung hätten Sie mehr. Ihnen wurde nichts berechnet.` :
      "Das ist mehr, als ein Kunde davon haben kann. Ihnen wurde nichts berechnet.";
  }
  if (order.reason === "payment_failed" && order.param in REFUSED_FIELDS) return REFUSED_FIELDS[order.param];
  if (order.reason === "payment_failed" && order.payment_problem in PAYMENT_PROBLEMS) return PAYMENT_PROBLEMS[order.payment_problem];
  return REASONS[order.reason] || "Die Bestellung wurde nicht angenommen. Ihnen wurde nichts berechnet.";
}
