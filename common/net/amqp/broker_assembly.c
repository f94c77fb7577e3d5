#include "common/net/amqp/broker_assembly.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

void broker_assembly_init(struct broker_assembly *assembly, size_t body_max)
{
    *assembly = (struct broker_assembly){.stage = ASSEMBLY_NONE};
    buf_init(&assembly->body, body_max);
}

void broker_assembly_free(struct broker_assembly *assembly)
{
    buf_free(&assembly->body);
    free(assembly->headers);
}

static void copy_cut(char *out, size_t size, const char *text, size_t len)
{
    size_t kept = len < size - 1 ? len : size - 1;
    memcpy(out, text, kept);
    out[kept] = '\0';
}

/* Without memory for them the message comes without its headers. */
static void keep_headers(struct broker_assembly *a, const struct wire_frame *frame)
{
    a->delivery.header_count = 0;
    if (frame->header_count > 0 && a->headers == NULL)
        a->headers = calloc(BROKER_HEADERS_MAX, sizeof *a->headers);
    if (frame->header_count == 0 || a->headers == NULL)
        return;
    for (size_t i = 0; i < frame->header_count; i++) {
        const struct wire_header *from = &frame->headers[i];
        struct broker_header *to = &a->headers[i];
        copy_cut(to->name, sizeof to->name, from->name, from->name_len);
        copy_cut(to->text, sizeof to->text, from->text, from->text_len);
    }
    a->delivery.headers = a->headers;
    a->delivery.header_count = frame->header_count;
}

static int take_header(struct broker_assembly *a, const struct wire_frame *frame)
{
    enum broker_assembly_stage was = a->stage;
    a->body_left = frame->size;
    a->stage = frame->size > 0 ? ASSEMBLY_SKIP : ASSEMBLY_NONE;
    if (was == ASSEMBLY_RETURN_HEADER)
        return BROKER_ASSEMBLY_RETURNED;
    if (was != ASSEMBLY_DELIVER_HEADER)
        return 0; /* a header that nothing announced: its bodies are skipped */
    memcpy(a->type, frame->text, sizeof a->type);
    memcpy(a->content_type, frame->content_type, sizeof a->content_type);
    a->delivery.type = a->type;
    a->delivery.content_type = a->content_type;
    a->delivery.body_size = frame->size;
    a->delivery.timestamp_s = frame->timestamp_s;
    keep_headers(a, frame);
    a->delivery.body = "";
    a->delivery.body_len = 0;
    buf_reset(&a->body);
    if (frame->size == 0)
        return BROKER_ASSEMBLY_DELIVERED;
    a->stage = ASSEMBLY_BODY;
    return 0;
}

/* Keeps what there is room for. */
static int keep_body(struct broker_assembly *a, const struct wire_frame *frame, bool whole)
{
    size_t room = a->body.max - a->body.len;
    size_t len = frame->len < room ? frame->len : room;
    if (whole) { /* the usual case: no need to copy */
        a->delivery.body = frame->data;
        a->delivery.body_len = len;
        return 0;
    }
    if (len > 0 && buf_append(&a->body, frame->data, len) != 0)
        return ERR_NOMEM;
    a->delivery.body = buf_text(&a->body);
    a->delivery.body_len = a->body.len;
    return 0;
}

static int take_body(struct broker_assembly *a, const struct wire_frame *frame)
{
    bool first = a->body_left == a->delivery.body_size && a->body.len == 0;
    a->body_left -= frame->len < a->body_left ? frame->len : a->body_left;
    bool wanted = a->stage == ASSEMBLY_BODY;
    int code = wanted ? keep_body(a, frame, first && a->body_left == 0) : 0;
    if (code < 0)
        return code;
    if (a->body_left > 0)
        return 0;
    a->stage = ASSEMBLY_NONE;
    return wanted ? BROKER_ASSEMBLY_DELIVERED : 0;
}

int broker_assembly_take(struct broker_assembly *a, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_HEADER)
        return take_header(a, frame);
    if (frame->kind == WIRE_BODY)
        return take_body(a, frame);
    if (frame->kind == WIRE_RETURN) {
        a->stage = ASSEMBLY_RETURN_HEADER;
    } else if (frame->kind == WIRE_DELIVER) {
        a->stage = ASSEMBLY_DELIVER_HEADER;
        a->delivery =
            (struct broker_delivery){.tag = frame->tag, .redelivered = frame->redelivered};
    }
    return 0;
}
