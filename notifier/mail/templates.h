/*
 * The templates of all mails: files KIND.LANGUAGE.txt, whose first line is "Subject: …", and
 * KIND.LANGUAGE.html beside it, which may be absent. KIND is a word of enum mail_kind, LANGUAGE a
 * tag in lower case. Read at the start.
 */
#ifndef NOTIFIER_MAIL_TEMPLATES_H
#define NOTIFIER_MAIL_TEMPLATES_H

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "notifier/mail/template.h"

enum mail_kind {
    MAIL_CONFIRMED,
    MAIL_REFUNDED,
    MAIL_ACTION,
    MAIL_REJECTED,
    MAIL_WAITING,
    MAIL_KINDS
};

struct templates;

/* What a mail of one kind is made of. */
struct templates_mail {
    const char *language;
    const char *subject;
    const char *text;
    const char *html; /* NULL: none */
};

/* Reads our own templates, then those of `shop_dir` ("": none) in their place. `names`: what they
 * may name. 0, or ERR_CONFIG with a line in `ret_problem` that names the file, or ERR_NOMEM. */
MUST_CHECK int templates_read(const char *shop_dir, const struct template_value *names,
                              struct templates **ret_templates, struct buf *ret_problem);
void templates_free(struct templates *templates);
/* In the language that fits best: of de-AT first de-AT, then de; of anything else English. `locale`
 * may be NULL. Lives as long as `templates`. */
struct templates_mail templates_find(const struct templates *templates, enum mail_kind kind,
                                     const char *locale);
/* MAIL_KINDS: the word is none. */
enum mail_kind mail_kind_of(const char *word);
const char *mail_kind_word(enum mail_kind kind);

#endif
