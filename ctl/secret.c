#include "ctl/secret.h"

#include "common/base/err.h"

int secret_fingerprint(const struct ctl *ctl, char ret_hex[IDS_FINGERPRINT_SIZE])
{
    size_t len;
    const char *secret = cfg_secret(ctl->cfg, CFG_ORDER_SECRET_FILE, &len);
    struct ids *ids = ids_new(secret, len);
    if (ids == NULL)
        return ERR_NOMEM;
    int code = ids_secret_fingerprint(ids, ret_hex);
    ids_free(ids);
    return code;
}
