/* Cursors of the feed, as somebody kept them. What is read is written the same, and reads the same
 * again. */
#include "tests/fuzz/fuzz.h"

#include "common/shop/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cursor cursor, again;
    char *text = text_of(data, size);
    if (cursor_parse(text, &cursor) == 0) {
        struct buf out;
        buf_init(&out, 64 * 1024);
        MUST(cursor.shards >= 1 && cursor.shards <= CURSOR_SHARDS_MAX);
        for (uint32_t i = 0; i < cursor.shards; i++)
            MUST(cursor.positions[i] >= 0);
        cursor_write(&cursor, &out);
        MUST(!out.failed && cursor_parse(buf_text(&out), &again) == 0);
        MUST(again.shards == cursor.shards);
        MUST(memcmp(again.positions, cursor.positions,
                    cursor.shards * sizeof cursor.positions[0]) == 0);
        buf_free(&out);
    }
    free(text);
    return 0;
}
