#include "common/base/err.h"

const char *err_text(int code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
#define ERR_CASE(name, text)                                                                       \
    case ERR_##name:                                                                               \
        return text;
        ERR_MAP(ERR_CASE)
#undef ERR_CASE
    default:
        return "unknown error";
    }
}
