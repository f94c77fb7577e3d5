// The page's language: ?lang=de, else what was chosen before, else what the browser asks for, else English.

import de from "./words/de.js";
import en from "./words/en.js";

export const LANGUAGES = [en, de];
const CHOSEN = "maison-unique-language";

function chosen() {
  const asked = new URLSearchParams(location.search).get("lang");
  try {
    if (asked) localStorage.setItem(CHOSEN, asked);
    return asked ?? localStorage.getItem(CHOSEN);
  } catch {
    return asked; // nothing is kept here
  }
}

const wanted = [chosen(), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
export const words = wanted.map((code) => LANGUAGES.find((language) => language.code === code)).find(Boolean) ?? en;

/** For numbers and times: the browser's own region where it speaks the page's language. */
export const locale = navigator.languages.find((tag) => tag.toLowerCase().startsWith(words.code)) ?? words.code;

/** Puts the words into the parts of the page that do not change: data-say="motto" is words.page.motto. */
export function speak() {
  document.documentElement.lang = words.code;
  document.title = words.page.title;
  for (const part of document.querySelectorAll("[data-say]")) part.textContent = words.page[part.dataset.say];
}
