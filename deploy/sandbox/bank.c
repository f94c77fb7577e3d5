/* The page of the test bank: where a buyer approves or declines; then the browser goes back. */
#include <inttypes.h>

#include "deploy/sandbox/gateway_impl.h"

static const char page[] =
    "<!doctype html><html lang=en><meta charset=utf-8>"
    "<meta name=viewport content='width=device-width'><title>Test bank</title><style>"
    "body{font:18px/1.5 system-ui,sans-serif;background:#eef2f6;color:#1b2733;display:grid;"
    "place-items:center;min-height:100vh;margin:0}main{background:#fff;padding:2rem 2.5rem;"
    "border-radius:1rem;box-shadow:0 6px 24px #0002;text-align:center;max-width:22rem}"
    "h1{font-size:1.2rem;margin:0 0 .5rem}small{color:#5b6875}"
    "button{font:inherit;padding:.6rem 1.4rem;margin:1rem .3rem 0;border-radius:.6rem;"
    "border:1px solid #1b2733;background:#fff;cursor:pointer}"
    "#approve{background:#1b2733;color:#fff}</style>"
    "<main><h1>Test bank</h1><p>A shop asks for<br><b>%" PRId64 " %s</b><br>"
    "<small>in the smallest unit; no money moves</small></p>"
    "<button id=approve>Approve</button><button id=decline>Decline</button></main>"
    "<script>for (const b of document.querySelectorAll('button')) b.onclick = async "
    "() => { await fetch('', {method: 'POST', headers: {'Content-Type': "
    "'application/x-www-form-urlencoded'}, body: 'outcome=' + b.id}); location.replace(";

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
    (void)buf_printf(&g->out, page, record.intent.amount, record.intent.currency);
    (void)buf_json_str(&g->out, back);
    (void)buf_str(&g->out, "); };</script></html>");
    record_free(&record);
    const struct http_response response = {.status = 200,
                                           .content_type = "text/html; charset=utf-8",
                                           .body = buf_text(&g->out),
                                           .body_len = g->out.len};
    http_respond(request, &response);
}
