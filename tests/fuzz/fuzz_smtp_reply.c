/* Lines of a mail server's replies. What is kept of one is short, visible, and stands in it. */
#include "tests/fuzz/fuzz.h"

#include "common/net/smtp/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char detail[SMTP_DETAIL_SIZE] = "";
    char *line = exact(data, size);
    if (smtp_reply_detail(line, size, detail)) {
        size_t len = strnlen(detail, sizeof detail);
        MUST(len >= strlen("4.7.1") && len < sizeof detail);
        MUST(size >= 4 + len && memcmp(line + 4, detail, len) == 0);
        MUST(strspn(detail, "0123456789.") == len);
    } else {
        MUST(detail[0] == '\0');
    }
    free(line);
    return 0;
}
