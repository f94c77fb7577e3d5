/* Numbers as people read them. */
#ifndef CTL_HUMAN_H
#define CTL_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_SIZE 24
#define HUMAN_MONEY_SIZE 48

/* "40ms", "1.2s", "12s", "3m12s", "2h05m", "4d07h"; "-" if negative. */
void human_age(int64_t ms, char ret_text[HUMAN_SIZE]);
/* "0", "0.3", "12", "1204". */
void human_rate(double per_s, char ret_text[HUMAN_SIZE]);
/* A number; "-" if negative. */
void human_count(int64_t count, char ret_text[HUMAN_SIZE]);
/* "19.99 usd": an amount of minor units, as the gateway counts them for that currency. One of a
 * currency that it does not know: "1999 usd (minor units)"; "-" if there is none. */
void human_money(const char *amount, const char *currency, char ret_text[HUMAN_MONEY_SIZE]);
/* At most `width` columns of `text`; a longer one is cut in the middle. `width` >= 3. */
void human_short(const char *text, size_t width, char *ret_text, size_t size);

#endif
