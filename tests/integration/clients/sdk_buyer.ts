// Buys an item with the functions that @hey-api/openapi-ts makes of the API's document.
import { client } from "./sdk/client.gen";
import { createOrder, getItem, getOrder } from "./sdk/sdk.gen";

declare const process: { env: Record<string, string> };

client.setConfig({ baseUrl: process.env.API, auth: () => process.env.TOKEN });

async function buy() {
  const { data: item } = await getItem({ path: { sku: process.env.SKU } });
  if (item?.state !== "on_sale") throw new Error(`not on sale: ${JSON.stringify(item)}`);

  const { data: accepted, error, response } = await createOrder({
    headers: { "Idempotency-Key": crypto.randomUUID() },
    body: { sku: item.sku, quantity: 1, payment_method: "pm_card_visa", unit_price: item.price },
  });
  if (accepted === undefined) throw new Error(`${response.status} ${error?.type}`);

  const { data: order } = await getOrder({ path: { id: accepted.id }, headers: { Prefer: "wait=20" } });
  const { error: problem } = await getItem({ path: { sku: "nothing" } });
  console.log(JSON.stringify({ id: order?.id, status: order?.status, amount: order?.amount, problem: problem?.type }));
}

void buy();
