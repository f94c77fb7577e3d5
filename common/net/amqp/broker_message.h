/* What goes through the broker, and what its topology is made of. */
#ifndef COMMON_NET_AMQP_BROKER_MESSAGE_H
#define COMMON_NET_AMQP_BROKER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BROKER_HEADERS_MAX 8

/* A header of a message whose value is text; longer ones are cut. */
struct broker_header {
    char name[32];
    char text[256];
};

/* One delivery. Pointers are valid during the callback. */
struct broker_delivery {
    uint64_t tag;
    bool redelivered;
    const void *body; /* what exceeds body_max of the channel is cut */
    size_t body_len;
    uint64_t body_size;                  /* the whole size */
    const char *type;                    /* "" if absent */
    const char *content_type;            /* "" if absent */
    const struct broker_header *headers; /* the first of those that are text */
    size_t header_count;
    int64_t timestamp_s; /* since 1970, as its publisher says; 0: absent */
};

struct broker_message {
    const char *exchange;
    const char *routing_key;
    const char *type;         /* NULL: none */
    const char *content_type; /* NULL: none */
    const char *header_name;  /* one header; NULL: none */
    const char *header_text;  /* its value as text, or NULL: … */
    int64_t header_number;    /* … as a number */
    int64_t timestamp_s;      /* since 1970; 0: none */
    const void *body;
    size_t body_len;
};

struct broker_argument {
    const char *name;
    const char *text; /* NULL: it is a number or a boolean */
    int64_t number;
    bool boolean; /* with text NULL: the number is meant as a boolean */
};

#endif
