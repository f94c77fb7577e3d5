/* From the body of a request to what it asks to change, or to a problem that names everything that
 * is wrong with it. Pure. */
#ifndef CONSOLE_CHANGE_H
#define CONSOLE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/http/http_values.h"
#include "common/pay/items_field.h"
#include "common/shop/problem.h"

enum change_kind {
    CHANGE_CREATE, /* makes an item */
    CHANGE_SET,    /* changes fields of one */
    CHANGE_RESTOCK,
    CHANGE_PAUSE,
    CHANGE_RESUME,
    CHANGE_REFUND,
    CHANGE_CANCEL,
    CHANGE_RESOLVE, /* says what became of an unclear payment, or a failed refund */
    CHANGE_REPLAY,  /* has dead letters tried again */
};

#define CHANGE_NOTE_MAX 500 /* bytes */

struct change {
    enum change_kind kind;
    char key[HTTP_KEY_MAX + 1];
    char *fields[ITEMS_COLUMNS]; /* of an item, as text; NULL: not given, or none from now on */
    struct buf wish;             /* JSON: all that it asks for */
    struct buf argument;         /* JSON: what its command is given; empty: nothing */
    const char *outcome;         /* of a resolve; a constant */
    bool has_note;
    char note[CHANGE_NOTE_MAX + 1];
};

/* The word of checkout.requests and checkout.commands. */
const char *change_word(enum change_kind kind);

/*
 * Reads a body of `len` bytes; none at all is one without members. 0; ERR_NOMEM; or ERR_INVALID
 * with `problem` filled, whose texts may point into `scratch` of len + 1 bytes. The caller frees
 * *ret_change, which is not set on failure.
 */
MUST_CHECK int change_read(enum change_kind kind, const char *body, size_t len, char *scratch,
                           struct change **ret_change, struct problem *problem);
void change_free(struct change *change); /* NULL is allowed */

/*
 * Of a change of an item's fields: checks the price against its currency, each as it will be, and
 * gives its command the price and currency that it was checked against. Of a new item `price` is
 * NULL. 0, or ERR_INVALID with the rule that it breaks.
 */
MUST_CHECK int change_check_price(struct change *change, const char *price, const char *currency,
                                  char ret_rule[CURRENCY_RULE_SIZE]);

#endif
