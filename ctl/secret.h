/* The fingerprint of CHECKOUT_ORDER_SECRET_FILE, which the database keeps. */
#ifndef CTL_SECRET_H
#define CTL_SECRET_H

#include "common/base/attrs.h"
#include "common/shop/ids.h"
#include "ctl/ctl.h"

/* 0 or ERR_NOMEM. */
MUST_CHECK int secret_fingerprint(const struct ctl *ctl, char ret_hex[IDS_FINGERPRINT_SIZE]);

#endif
