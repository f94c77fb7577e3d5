/* Error codes: functions return 0 or one of these negative numbers. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#define ERR_MAP(X)                                                                                 \
    X(NOMEM, "out of memory")                                                                      \
    X(INVALID, "invalid argument or input")                                                        \
    X(PARSE, "cannot be parsed")                                                                   \
    X(FULL, "a bound is reached")                                                                  \
    X(NOT_FOUND, "not found")                                                                      \
    X(CONFLICT, "conflicts with what is there")                                                    \
    X(AUTH, "not authenticated")                                                                   \
    X(EXPIRED, "expired")                                                                          \
    X(UNAVAILABLE, "not available at present")                                                     \
    X(TIMEOUT, "timed out")                                                                        \
    X(CLOSED, "closed by the other side")                                                          \
    X(IO, "input or output failed")                                                                \
    X(CONFIG, "wrong setting")                                                                     \
    X(REFUSED, "refused by the server")

enum err_index {
    ERR_INDEX_OK,
#define ERR_INDEX(name, text) ERR_INDEX_##name,
    ERR_MAP(ERR_INDEX)
#undef ERR_INDEX
};

enum err {
    ERR_OK = 0,
#define ERR_CODE(name, text) ERR_##name = -ERR_INDEX_##name,
    ERR_MAP(ERR_CODE)
#undef ERR_CODE
};

/* A short lower-case text for 0 or an ERR_*; static storage. */
const char *err_text(int code);

#endif
