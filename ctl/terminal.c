#include "ctl/terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WRAP_LEAST 20 /* in fewer columns no text can be read */

static struct winsize size_of(void)
{
    struct winsize size = {0};
    if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return (struct winsize){0};
    return size;
}

size_t terminal_columns(void)
{
    return size_of().ws_col;
}

size_t terminal_rows(void)
{
    return size_of().ws_row;
}

/* Characters of a word in valid text. */
static size_t width_of(const char *word, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)word[i] & 0xC0) != 0x80; /* else it continues one */
    return width;
}

void terminal_wrap(const char *text, size_t column, size_t indent)
{
    const size_t columns = terminal_columns();
    if (columns < indent + WRAP_LEAST) {
        (void)puts(text);
        return;
    }
    bool begun = false; /* the line */
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        size_t width = width_of(text, len);
        if (begun && column + 1 + width > columns) {
            (void)printf("\n%*s", (int)indent, "");
            column = indent;
            begun = false;
        }
        (void)printf("%s%.*s", begun ? " " : "", (int)len, text);
        column += width + (begun ? 1 : 0);
        begun = true;
        text += len + strspn(text + len, " ");
    }
    (void)putchar('\n');
}
