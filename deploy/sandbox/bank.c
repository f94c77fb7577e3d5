/* The page of the test bank: where a buyer approves or declines; then the browser goes back. */
#include "common/pay/currency.h"
#include "deploy/sandbox/gateway_impl.h"

static const char page[] =
    "<!doctype html><html lang=en><meta charset=utf-8><link rel=icon href='data:,'>"
    "<meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>"
    "<title>Test bank</title><style>:root{--ink:#1b2733;--paper:#eef2f6;--card:#fff;--soft:#5b6875}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8eef4;--paper:#0f151b;--card:#1b2733;"
    "--soft:#a3b1bf}}"
    "body{font:18px/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink);display:grid;"
    "place-items:center;min-height:100vh;margin:0}main{background:var(--card);padding:2rem 2.5rem;"
    "border-radius:1rem;box-shadow:0 6px 24px #0002;text-align:center;max-width:22rem}"
    "h1{font-size:1.2rem;margin:0 0 .5rem}small{color:var(--soft)}p{margin:1rem 0 0}"
    "button{font:inherit;padding:.6rem 1.4rem;margin:1rem .3rem 0;border-radius:.6rem;"
    "border:1px solid var(--ink);background:none;color:var(--ink);cursor:pointer}"
    "#approve{background:var(--ink);color:var(--card)}</style>"
    "<main><h1>Test bank</h1><p>A shop asks for<br><b>%s</b><br><small>no money moves</small></p>"
    "<button id=approve>Approve</button><button id=decline>Decline</button>"
    "<p role=alert id=trouble hidden>No answer. Please press again.</p></main>"
    "<script>for (const b of document.querySelectorAll('button')) b.onclick = async () => { try {"
    " const answer = await fetch('', {method: 'POST', headers: {'Content-Type': "
    "'application/x-www-form-urlencoded'}, body: 'outcome=' + b.id});"
    " if (!answer.ok) throw answer; } catch { trouble.hidden = false; return; } location.replace(";

static void amount_of(const struct record *record, char ret_text[CURRENCY_TEXT_SIZE])
{
    const struct currency *currency = currency_find(record->intent.currency);
    ret_text[0] = '\0';
    if (currency != NULL)
        currency_amount(currency, record->intent.amount, ret_text);
}

void bank_show(struct gateway *g, struct http_request *request, const char *id)
{
    uint64_t number;
    struct record record;
    const struct store_intent *intent = NULL;
    if (record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL || ledger_read(g->ledger, intent->place, &record) < 0) {
        gateway_refuse_missing(g, request, "intent");
        return;
    }
    const char *back = record.intent.return_url == NULL ? "about:blank" : record.intent.return_url;
    buf_reset(&g->out);
    char amount[CURRENCY_TEXT_SIZE];
    amount_of(&record, amount);
    (void)buf_printf(&g->out, page, amount);
    (void)buf_json_str(&g->out, back);
    (void)buf_str(&g->out, "); };</script></html>");
    record_free(&record);
    const struct http_response response = {.status = 200,
                                           .content_type = "text/html; charset=utf-8",
                                           .body = buf_text(&g->out),
                                           .body_len = g->out.len};
    http_respond(request, &response);
}
