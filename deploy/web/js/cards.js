// The demo's cards. Each name is a template of the sandbox gateway, which makes a fresh method of it at each use: a
// real method may be used for one order only, so a shop makes one with the gateway's own script for each try.

import { byId, element } from "./dom.js";
import { words } from "./words.js";

export const CARDS = [
  { method: "pm_card_visa", name: "visa" },
  { method: "pm_card_mastercard", name: "mastercard" },
  { method: "pm_card_threeDSecure2Required", name: "asks" },
  { method: "pm_card_chargeDeclined", name: "declined" },
  { method: "pm_card_chargeDeclinedInsufficientFunds", name: "funds" },
];

export function showCards() {
  CARDS.forEach(({ method, name }, index) => {
    const input = element("input", { type: "radio", name: "card", value: method, checked: index === 0 });
    byId("cards").append(element("label", {}, input, words.cards[name]));
  });
}

export const chosenCard = () => document.querySelector("input[name=card]:checked").value;

/** A list of the cards to choose from. */
export function cardList() {
  const list = element("select");
  for (const card of CARDS) list.append(element("option", { value: card.method, textContent: words.cards[card.name] }));
  return list;
}

export const otherCard = (method) => CARDS.find((card) => card.method !== method).method;
