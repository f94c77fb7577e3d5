/*
 * Sends a mail by SMTP (libcurl): one mail, one connection. libcurl waits for a server's answer to
 * the mail itself, and to its goodbye, without leaving the thread; so each call runs in a thread of
 * the loop's pool, and takes it for as long as it lasts.
 */
#ifndef COMMON_NET_SMTP_SMTP_H
#define COMMON_NET_SMTP_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/smtp/smtp_reply.h"
#include "common/net/smtp/smtp_url.h"

#define SMTP_NAME_MAX 255 /* bytes of a name in EHLO */

struct smtp_mail {
    const struct smtp_url *server;
    bool tls;            /* STARTTLS is a must; with a login it always is. Its host is verified. */
    const char *ca_file; /* "": the system's certificates */
    uint32_t timeout_ms; /* until the server has answered; its goodbye may take as long again */
    const char *name;    /* of this host, for EHLO: of letters, digits, . - _; "": the system's */
    const char *from;    /* addresses of email_valid */
    const char *to;
    const char *data; /* head and body, lines that end in CRLF */
    size_t len;
};

struct smtp_answer {
    /* 0: the server has taken it. ERR_REFUSED: it refuses this mail, with `status`. ERR_AUTH: it
     * refuses the login, or wants one, or TLS. ERR_UNAVAILABLE: it did not hear of the
     * mail's recipient, because it was not reached, or not by TLS, or takes no mails of ours now.
     * Else it is not known whether the mail was taken. */
    int code;
    bool offered;                  /* it has heard of the recipient */
    unsigned status;               /* of its last reply; 0: none */
    char detail[SMTP_DETAIL_SIZE]; /* the enhanced status of that, like 4.7.1; "": none */
    const char *reason;            /* in a word; static */
};

struct smtp_call;

typedef void (*smtp_done_cb)(const struct smtp_answer *answer, void *arg);

/* Once, before the first call, while the process has one thread. 0 or ERR_NOMEM. */
MUST_CHECK int smtp_open(void);
/* Copies the mail. `done` comes exactly once, from the loop, unless the call is forgotten before.
 * 0, ERR_NOMEM or ERR_INVALID (an address or the name). */
MUST_CHECK int smtp_send(struct loop *loop, const struct smtp_mail *mail, smtp_done_cb done,
                         void *arg, struct smtp_call **ret_call);
/* The call goes on, without a callback at its end. */
void smtp_forget(struct smtp_call *call);

#endif
