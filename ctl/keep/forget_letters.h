/*
 * Dead letters that name a customer who is to be forgotten. Of orders that are decided a letter is
 * only a copy, which no replay would change: it goes. Of others it may be the order itself.
 */
#ifndef CTL_KEEP_FORGET_LETTERS_H
#define CTL_KEEP_FORGET_LETTERS_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

struct forget_letters;

/*
 * Reads all dead letters and keeps them delivered. 0 with `ret_letters`; an exit code after
 * printing the problem, also where a letter of this customer may be an order that is not decided.
 * Needs the broker and the database.
 */
MUST_CHECK int forget_letters_open(struct ctl *ctl, const char *user,
                                   struct forget_letters **ret_letters);
/* Ends those of this customer for good. Returns how many. */
size_t forget_letters_drop(struct forget_letters *letters);
/* The others go back. NULL is allowed. */
void forget_letters_close(struct forget_letters *letters);

#endif
