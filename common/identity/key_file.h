/*
 * The file of an identity provider's keys, read again when it changes (looked at once a second) and
 * on SIGHUP. A file that is bad or half written changes nothing: the keys before it stay, and an
 * error is logged each minute until it is mended.
 */
#ifndef COMMON_IDENTITY_KEY_FILE_H
#define COMMON_IDENTITY_KEY_FILE_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/identity/key_set.h"

struct key_file;

struct key_file_listener {
    /* Owns the keys from here on. */
    void (*changed)(struct key_set *keys, void *arg);
    /* Whether the file, as it is now, is good. Called after each reading. */
    void (*judged)(bool good, void *arg);
    void *arg;
};

/* Reads the file, reports its keys before it returns, and goes on watching it. 0, ERR_NOMEM, or
 * ERR_CONFIG with what is wrong with it in `problem`: there are no keys that could stay. */
MUST_CHECK int key_file_open(struct loop *loop, const char *path,
                             const struct key_file_listener *listener, struct key_file **ret_file,
                             struct buf *problem);
void key_file_close(struct key_file *file); /* NULL is allowed */

#endif
