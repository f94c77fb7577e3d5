// The calls to the shop's backend (for a token) and to Checkout's producer.

let session = null;
let renewAt = 0;

async function signIn() {
  if (session && Date.now() < renewAt) return session;
  const answer = await fetch("session");
  if (!answer.ok) throw new Error("The shop does not answer.");
  session = await answer.json();
  renewAt = Date.now() + (session.expires_in - 60) * 1000;
  return session;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function item(sku) {
  const { api } = await signIn();
  const answer = await fetch(`${api}/v1/items/${encodeURIComponent(sku)}`);
  return answer.ok ? answer.json() : null;
}

// The order as the server knows it; null if it knows none, undefined if it cannot tell now.
export async function order(id) {
  const { api, token } = await signIn();
  try {
    const answer = await fetch(`${api}/v1/orders/${id}`, { headers: { Authorization: `Bearer ${token}` } });
    if (answer.ok) return answer.json();
    return answer.status === 404 ? null : undefined;
  } catch {
    return undefined;
  }
}

// Places an order. One key for one click: whatever is lost on the way is sent again under the same key,
// so it is one order however often it arrives. Calls `waiting` with a text while it has to try again.
export async function place(wish, key, waiting) {
  for (let attempt = 0; ; attempt += 1) {
    let wait = Math.min(500 * 2 ** attempt, 8000);
    try {
      const { api, token } = await signIn();
      const answer = await fetch(`${api}/v1/orders`, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": key },
        body: JSON.stringify(wish),
      });
      const body = await answer.json().catch(() => ({}));
      if (answer.status === 202) return { status: "queued", ...body };
      if (answer.status !== 503 && answer.status !== 429) {
        return { status: "problem", problem: body.detail || body.title || `The shop answered ${answer.status}.` };
      }
      wait = 1000 * Number(answer.headers.get("Retry-After") || 1);
    } catch {
      // no answer: it may have arrived or not; the same key finds out
    }
    if (attempt >= 10) return { status: "problem", problem: "The shop cannot be reached. You were not charged twice; reload to see your order." };
    waiting("The shop is busy; trying again…");
    await pause(wait);
  }
}
