/* What a call of curl.h asks for, and what it is answered. */
#ifndef COMMON_NET_HTTP_CURL_EXCHANGE_H
#define COMMON_NET_HTTP_CURL_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct curl_options {
    const char *ca_file;      /* NULL or "": the system's */
    unsigned connections_max; /* per client */
    uint32_t connect_timeout_ms;
    uint32_t retry_after_max_s; /* a longer Retry-After is cut to that; 0: to a minute */
    /* Whether an address, which a host's name stands for now, may be connected to. NULL: each. */
    bool (*may_connect)(const struct sockaddr *address, void *arg);
    void *may_connect_arg;
};

struct curl_request {
    const char *method; /* "GET", "POST", "PUT" */
    const char *url;
    const char *const *headers; /* "Name: value" lines, copied; NULL at the end; NULL: none */
    const char *body;           /* copied; NULL: none */
    size_t body_len;
    uint32_t timeout_ms; /* for all of it */
    size_t response_max; /* a longer answer is an error */
    bool cut;            /* no: what is behind that is not read */
};

struct curl_response {
    int code; /* 0: an answer came whole; ERR_TIMEOUT, ERR_CLOSED, ERR_FULL, ERR_UNAVAILABLE */
    bool connected;   /* the server may have seen the request; false: it surely has not */
    unsigned status;  /* HTTP status if code is 0 */
    const char *body; /* NUL-terminated, valid during the callback */
    size_t body_len;
    const char *problem; /* text if code is not 0 */
    const char *reason; /* why, in a word, if code is not 0: "timeout", "certificate_expired", … */
    int64_t date_s;     /* of a Date header, the server's clock; 0: none */
    uint32_t retry_after_s; /* of a Retry-After header, the options' most; 0: none */
    bool replayed;          /* "Idempotent-Replayed: true": the stored result of its key */
};

#endif
