/* What a file is, if it is not text in lines with fields between commas. Pure. */
#ifndef CTL_ITEMS_ITEMS_SHAPE_H
#define CTL_ITEMS_ITEMS_SHAPE_H

#include <stddef.h>

/* NULL, or a static text that says what the file is and what to do. */
const char *items_shape_problem(const char *data, size_t len);

#endif
