// Buys an item with the types that openapi-typescript makes of the API's document.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string> };

const api = createClient<paths>({
  baseUrl: process.env.API,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
});

const { data: item } = await api.GET("/v1/items/{sku}", { params: { path: { sku: process.env.SKU } } });
if (item?.state !== "on_sale") throw new Error(`not on sale: ${JSON.stringify(item)}`);

const { data: accepted, error, response } = await api.POST("/v1/orders", {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
  body: { sku: item.sku, quantity: 1, payment_method: "pm_card_visa", unit_price: item.price },
});
if (accepted === undefined) throw new Error(`${response.status} ${error.type}`);

const { data: order } = await api.GET("/v1/orders/{id}", {
  params: { path: { id: accepted.id }, header: { Prefer: "wait=20" } },
});
const { error: problem } = await api.GET("/v1/items/{sku}", { params: { path: { sku: "nothing" } } });
console.log(JSON.stringify({ id: order?.id, status: order?.status, amount: order?.amount, problem: problem?.type }));
