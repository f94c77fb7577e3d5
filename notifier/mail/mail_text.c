#include "notifier/mail/mail_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/err.h"
#include "common/pay/currency.h"
#include "common/shop/status.h"
#include "notifier/mail/message.h"

#define NUMBER_SIZE 24
#define URL_SIZE 2200
#define ID_SIZE 400

enum { SHOP, TITLE, QUANTITY, AMOUNT, ORDER, REFERENCE, REASON, UNTIL, LINK, LANGUAGE, VALUES };

#define NAMES(X)                                                                                   \
    [SHOP] = {"shop", X}, [TITLE] = {"title", X}, [QUANTITY] = {"quantity", X},                    \
    [AMOUNT] = {"amount", X}, [ORDER] = {"order", X}, [REFERENCE] = {"reference", X},              \
    [REASON] = {"reason", X}, [UNTIL] = {"until", X}, [LINK] = {"link", X},                        \
    [LANGUAGE] = {"language", X}

const struct template_value mail_text_names[VALUES + 1] = {NAMES(NULL)};

struct scratch {
    char quantity[NUMBER_SIZE];
    char amount[CURRENCY_TEXT_SIZE];
    char until[32];
    char link[URL_SIZE];
};

static const char *host_of(const char *address)
{
    const char *at = strchr(address, '@');
    return at == NULL ? address : at + 1;
}

static void write_amount(const struct mail *mail, char ret_text[CURRENCY_TEXT_SIZE])
{
    const struct currency *currency = mail->currency == NULL ? NULL : currency_find(mail->currency);
    ret_text[0] = '\0';
    if (!mail->has_amount || currency == NULL || mail->amount < 0)
        return;
    currency_amount(currency, mail->amount, ret_text);
    for (char *c = ret_text; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
}

static void write_until(int64_t ms, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    ret_text[0] = '\0';
    if (ms > 0 && gmtime_r(&seconds, &tm) != NULL)
        (void)strftime(ret_text, size, "%Y-%m-%d %H:%M UTC", &tm);
}

/* The shop's page with order=ID in its query, before any fragment. */
static void write_link(const char *page, const char *order, char ret_url[URL_SIZE])
{
    int len = (int)strcspn(page, "#");
    ret_url[0] = '\0';
    if (len > 0)
        (void)snprintf(ret_url, URL_SIZE, "%.*s%sorder=%s%s", len, page,
                       memchr(page, '?', (size_t)len) == NULL ? "?" : "&", order, page + len);
}

static void fill(const struct mail_shop *shop, const struct mail *mail, struct scratch *s,
                 struct template_value values[VALUES + 1])
{
    (void)snprintf(s->quantity, sizeof s->quantity, "%" PRId64, mail->quantity);
    write_amount(mail, s->amount);
    write_until(mail->act_until_ms, s->until, sizeof s->until);
    write_link(shop->page_url, mail->order_id, s->link);
    values[SHOP].text = shop->name[0] == '\0' ? host_of(shop->from) : shop->name;
    values[TITLE].text = mail->title;
    values[QUANTITY].text = s->quantity;
    values[AMOUNT].text = s->amount;
    values[ORDER].text = mail->order_id;
    values[REFERENCE].text = mail->reference;
    values[REASON].text = order_reason_meaning(order_reason_of(mail->reason));
    values[UNTIL].text = s->until;
    values[LINK].text = s->link;
}

/* One for each order and kind, so that a repeat is known as one. */
static void write_id(const struct mail_shop *shop, const struct mail *mail, char ret_id[ID_SIZE])
{
    const char *host = host_of(shop->from);
    for (const char *c = host; *c != '\0'; c++)
        if ((unsigned char)*c > 0x7e)
            host = "checkout.invalid"; /* an id is ASCII */
    (void)snprintf(ret_id, ID_SIZE, "%s.%s@%s", mail->order_id, mail_kind_word(mail->kind), host);
}

static int render(const struct templates_mail *template, const struct template_value *values,
                  struct buf texts[3])
{
    int code = template_render(template->subject, TEMPLATE_LINES, values, &texts[0]);
    if (code == 0)
        code = template_render(template->text, TEMPLATE_LINES, values, &texts[1]);
    if (code == 0 && template->html != NULL)
        code = template_render(template->html, TEMPLATE_HTML, values, &texts[2]);
    return code;
}

int mail_text_build(const struct templates *templates, const struct mail_shop *shop,
                    const struct mail *mail, struct buf *out)
{
    const struct templates_mail template = templates_find(templates, mail->kind, mail->locale);
    struct template_value values[VALUES + 1] = {NAMES("")};
    struct scratch scratch;
    struct buf texts[3]; /* subject, text, html */
    char id[ID_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        buf_init(&texts[i], MAIL_TEXT_MAX);
    fill(shop, mail, &scratch, values);
    values[LANGUAGE].text = template.language;
    write_id(shop, mail, id);
    int code = render(&template, values, texts);
    if (code == 0)
        code = message_build(
            &(struct message){.from = shop->from,
                              .to = mail->to,
                              .from_name = values[SHOP].text,
                              .subject = buf_text(&texts[0]),
                              .id = id,
                              .language = template.language,
                              .date_ms = mail->created_ms,
                              .text = buf_text(&texts[1]),
                              .html = template.html == NULL ? NULL : buf_text(&texts[2])},
            out);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        buf_free(&texts[i]);
    return code;
}
