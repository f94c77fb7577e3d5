#include "tests/fake/stage_words.h"

#include <check.h>

#define PATIENCE_MS 20000

struct words words;
static struct loop_timer *patience;

static void out_of_patience(void *arg)
{
    (void)arg;
    ck_abort_msg("nothing more came; heard: %s", buf_text(&words.heard));
}

void words_begin(void)
{
    buf_init(&words.heard, 4096);
    words.loop = loop_new();
    words.wanted = 0;
    patience = loop_timer_new(words.loop, out_of_patience, NULL);
    loop_timer_start(patience, PATIENCE_MS, 0);
    words.server = fake_server_new();
}

void words_end(void)
{
    loop_timer_free(patience);
    loop_free(words.loop);
    fake_server_end(words.server);
    buf_free(&words.heard);
}

void say_of(const char *what, const char *word)
{
    (void)buf_printf(&words.heard, "%s%s; ", what, word);
    if (--words.wanted == 0)
        loop_stop(words.loop);
}

void say(const char *word)
{
    say_of("", word);
}

void say_changed(bool up, const char *reason, void *arg)
{
    (void)arg;
    say(up ? "up" : reason);
}

void hear(unsigned count)
{
    buf_reset(&words.heard);
    words.wanted = count;
    loop_run(words.loop);
}

void expect(unsigned count, const char *text)
{
    hear(count);
    ck_assert_str_eq(buf_text(&words.heard), text);
    buf_reset(&words.heard);
}
