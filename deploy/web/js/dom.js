// Small helpers for making and filling elements.

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets text only where it differs: an unchanged node keeps selection and focus. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const pad = (n) => String(n).padStart(2, "0");

/** Milliseconds as 1:02:03, or 2:03. */
export function clock(ms) {
  const seconds = Math.max(Math.ceil(ms / 1000), 0);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h >= 48) return `${Math.floor(h / 24)} d`;
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}
