#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/pay/items_field.h"
#include "ctl/items/item_row.h"
#include "ctl/request.h"

#define ARGUMENT_MAX ((size_t)8 * 1024)

/* What was typed, by field. */
struct setting {
    const char *sku;
    bool given[ITEMS_COLUMNS];
    char *values[ITEMS_COLUMNS]; /* owned; NULL of a given field: it has none from now on */
};

static void clear(struct setting *setting)
{
    for (size_t i = 0; i < ITEMS_COLUMNS; i++)
        free(setting->values[i]);
}

static bool may_be_empty(size_t field)
{
    return field == ITEMS_LIMIT_PER_USER || field == ITEMS_OPENS_AT || field == ITEMS_CLOSES_AT ||
           field == ITEMS_CHALLENGE;
}

/* ---- reading what was typed: CTL_FINE, or the complaint is printed ---- */

static int find_field(const char *word, size_t *ret_field)
{
    size_t len = strcspn(word, "=");
    size_t field = items_field_of(word, len);
    *ret_field = field;
    if (word[len] == '\0')
        return ctl_complain(CTL_USAGE, "\"%.40s\" is not FIELD=VALUE", word);
    if (field == ITEMS_SKU)
        return ctl_complain(CTL_USAGE, "the sku of an item stays: import a new item");
    if (field == ITEMS_STOCK)
        return ctl_complain(CTL_USAGE,
                            "use items restock to change the stock by a number of units");
    if (field == ITEMS_COLUMNS)
        return ctl_complain(CTL_USAGE,
                            "\"%.*s\" is not a field; there are title, price, currency, "
                            "limit_per_user, gate, opens_at, closes_at, challenge",
                            (int)(len < 40 ? len : 40), word);
    return CTL_FINE;
}

static int read_word(struct setting *setting, const char *word)
{
    size_t field;
    int exit_code = find_field(word, &field);
    if (exit_code != CTL_FINE)
        return exit_code;
    const char *name = items_field_names[field];
    const char *value = word + strcspn(word, "=") + 1;
    if (setting->given[field])
        return ctl_complain(CTL_USAGE, "%s is there twice", name);
    setting->given[field] = true;
    if (value[0] == '\0' && may_be_empty(field))
        return CTL_FINE;
    const char *problem = items_field_problem((enum items_column)field, value);
    if (problem != NULL)
        return ctl_complain(CTL_USAGE, "%s: \"%.40s\" %s", name, value, problem);
    setting->values[field] = items_field_copy((enum items_column)field, value);
    return setting->values[field] == NULL ? ctl_complain(CTL_FAILED, "out of memory") : CTL_FINE;
}

static int read_words(struct setting *setting, const struct command_args *args)
{
    int exit_code = CTL_FINE;
    setting->sku = args->operands[0];
    for (size_t i = 1; i < COMMAND_OPERANDS_MAX && args->operands[i] != NULL; i++) {
        exit_code = read_word(setting, args->operands[i]);
        if (exit_code != CTL_FINE)
            break;
    }
    return exit_code;
}

/* ---- checks with what the item has ---- */

/* The field as it will be; NULL: none. */
static const char *after(const struct setting *setting, enum items_column field, const char *now)
{
    if (setting->given[field])
        return setting->values[field];
    return now[0] == '\0' ? NULL : now;
}

static int check(const struct setting *setting, const struct item_row *row)
{
    char rule[CURRENCY_RULE_SIZE];
    if (!row->found)
        return ctl_complain(CTL_FAILED, "there is no item \"%.64s\"", setting->sku);
    const char *price = after(setting, ITEMS_PRICE, row->price);
    const char *currency = after(setting, ITEMS_CURRENCY, row->currency);
    bool other = strcmp(currency, row->currency) != 0;
    if (other && row->ordered)
        return ctl_complain(CTL_FAILED, "refused: its currency stays: it has orders in %s",
                            row->currency);
    if ((setting->given[ITEMS_PRICE] || other) && items_field_price(price, currency, rule) < 0)
        return ctl_complain(CTL_FAILED, "refused: price %s %s", price, rule);
    if (!items_field_lasts(after(setting, ITEMS_OPENS_AT, row->opens_at),
                           after(setting, ITEMS_CLOSES_AT, row->closes_at)))
        return ctl_complain(CTL_FAILED, "refused: closes_at is not after opens_at");
    return CTL_FINE;
}

/* ---- asking its owner ---- */

static void put_argument(const struct setting *setting, const struct item_row *row, struct buf *out)
{
    const char *comma = "";
    (void)buf_str(out, "{\"set\":{");
    for (size_t i = 0; i < ITEMS_COLUMNS; i++) {
        if (!setting->given[i])
            continue;
        (void)buf_printf(out, "%s\"%s\":", comma, items_field_names[i]);
        comma = ",";
        if (setting->values[i] == NULL)
            (void)buf_str(out, "null");
        else
            (void)buf_json_str(out, setting->values[i]);
    }
    (void)buf_printf(out, "},\"price\":%s,\"currency\":\"%s\"}", row->price, row->currency);
}

static int ask_owner(struct ctl *ctl, const struct setting *setting, const struct item_row *row,
                     int64_t timeout_ms)
{
    struct request request = {.kind = "set", .sku = setting->sku, .timeout_ms = timeout_ms};
    struct buf argument;
    buf_init(&argument, ARGUMENT_MAX);
    put_argument(setting, row, &argument);
    request.argument = buf_text(&argument);
    int exit_code =
        argument.failed ? ctl_complain(CTL_FAILED, "out of memory") : request_run(ctl, &request);
    buf_free(&argument);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct setting setting = {.sku = NULL};
    struct item_row row;
    int64_t timeout_ms;
    int exit_code = request_timeout(&command_items_set, args, &timeout_ms);
    if (exit_code == CTL_FINE)
        exit_code = read_words(&setting, args);
    if (exit_code == CTL_FINE)
        exit_code = item_row_read(ctl, setting.sku, setting.given[ITEMS_CURRENCY], &row);
    if (exit_code == CTL_FINE)
        exit_code = check(&setting, &row);
    if (exit_code == CTL_FINE)
        exit_code = ask_owner(ctl, &setting, &row, timeout_ms);
    clear(&setting);
    return exit_code;
}

const struct command command_items_set = {
    .words = "items set",
    .operands = "SKU FIELD=VALUE ...",
    .operand_count = 9,
    .optional_count = 7,
    .summary = "changes price, title, limit, window or challenge",
    .details =
        "FIELD is title, price (minor units, as for items import), currency (of an item without "
        "orders), limit_per_user, gate, opens_at, closes_at or challenge; the last three and the "
        "limit may be empty: none. A price that the gateway would refuse is refused, with the "
        "rule. The "
        "consumer that serves the item executes it, between two orders. An order keeps the price "
        "that it has; a new limit, window or challenge is for orders that are decided from then "
        "on. "
        "items restock changes the stock.",
    .options = {REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
