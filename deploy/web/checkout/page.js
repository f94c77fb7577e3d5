// What a browser's window tells: of its network, of other tabs, and that somebody looks at it again.

/**
 * @param {object} told
 * @param {() => void} told.back the page comes back out of the browser's memory, perhaps under another login
 * @param {() => void} told.online
 * @param {() => void} told.offline
 * @param {() => void} told.seen
 * @param {(name: string | null) => void} told.stored by another tab
 * @returns {() => void} ends it
 */
export function watchPage({ online, offline, seen, back, stored }) {
  const page = typeof window === "undefined" ? null : window;
  /** @type {Record<string, (event: any) => void>} */
  const listeners = {
    online,
    offline,
    storage: (event) => stored(event.key),
    pageshow: (event) => event.persisted && back(), // from the bank by the browser's own button
    visibilitychange: () => globalThis.document?.hidden || seen(),
  };
  for (const [name, listener] of Object.entries(listeners)) page?.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) page?.removeEventListener(name, listener);
  };
}
