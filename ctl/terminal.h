/* The terminal that standard output is, if it is one. */
#ifndef CTL_TERMINAL_H
#define CTL_TERMINAL_H

#include <stddef.h>

/* Its size; 0: it is no terminal, or does not say. */
size_t terminal_columns(void);
size_t terminal_rows(void);
/* Prints `text` and a newline. At a terminal, where the cursor stands in `column`, further lines
 * begin in column `indent`, and are broken at blanks. */
void terminal_wrap(const char *text, size_t column, size_t indent);

#endif
