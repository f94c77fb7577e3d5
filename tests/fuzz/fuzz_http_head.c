/* Heads of requests: one `Name: value` a line behind the path. What two readers could see as two
 * different requests must be noticed. */
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#include "common/base/encode.h"
#include "common/net/http/http_head.h"

static void check_unescape(const char *path)
{
    char *text = text_of(path, strlen(path)); /* exactly as long as it is, for the sanitizer */
    size_t before = strlen(text);
    size_t after = http_unescape(text);
    MUST(after == strlen(text) && after <= before);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head head = {0};
    unsigned hosts = 0, lengths = 0, encodings = 0;
    char *path = next_line(&data, &size);
    check_unescape(path);
    free(path);
    while (size > 0) {
        char *line = next_line(&data, &size);
        char *colon = strchr(line, ':');
        if (colon != NULL) {
            *colon = '\0';
            hosts += strcasecmp(line, "Host") == 0;
            lengths += strcasecmp(line, "Content-Length") == 0;
            encodings += strcasecmp(line, "Transfer-Encoding") == 0;
            http_head_add(&head, line, strlen(line), colon + 1, strlen(colon + 1));
        } else {
            http_head_add(&head, line, strlen(line), NULL, 0);
            hosts += strcasecmp(line, "Host") == 0;
            lengths += strcasecmp(line, "Content-Length") == 0;
            encodings += strcasecmp(line, "Transfer-Encoding") == 0;
        }
        free(line);
    }
    const char *why = http_head_ambiguity(&head, "HTTP/1.1");
    if (hosts != 1 || lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0))
        MUST(why != NULL);
    return 0;
}
