#include "common/pay/stripe/stripe_json.h"

#include <string.h>

#include "common/base/err.h"
#include "common/pay/pay.h"

bool stripe_id_valid(const char *id)
{
    size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= PAY_ID_MAX && id[len] == '\0';
}

const char *stripe_string(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool stripe_string_is(const json_t *object, const char *name, const char *text)
{
    const char *found = stripe_string(object, name);
    return found != NULL && strcmp(found, text) == 0;
}

int stripe_page_status(unsigned status)
{
    if (status == 200)
        return 0;
    if (status == 401 || status == 403)
        return ERR_AUTH;
    return status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_REFUSED;
}

json_t *stripe_page_items(const json_t *root, size_t limit, bool *ret_has_more)
{
    json_t *data = json_object_get(root, "data");
    const json_t *more = json_object_get(root, "has_more");
    size_t count = json_array_size(data);
    if (!stripe_string_is(root, "object", "list") || !json_is_array(data) ||
        !json_is_boolean(more) || count > limit || (count == 0 && json_is_true(more)))
        return NULL;
    *ret_has_more = json_is_true(more);
    return data;
}
