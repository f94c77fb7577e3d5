#include "notifier/mail/templates.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/utf8.h"

#define INSTALLED "/../share/checkout/mail"
#define FILE_MAX ((size_t)64 * 1024)
#define FILES_MAX 512
#define LANGUAGE_SIZE 36
#define SUBJECT "Subject: "

static const char *const kinds[MAIL_KINDS] = {"confirmed", "refunded", "action", "rejected",
                                              "waiting"};

struct entry {
    enum mail_kind kind;
    char language[LANGUAGE_SIZE];
    char *text; /* begins with the subject, ended by NUL */
    char *body; /* inside of `text` */
    char *html;
};

struct templates {
    const struct template_value *names;
    struct entry entries[FILES_MAX];
    size_t count;
};

enum mail_kind mail_kind_of(const char *word)
{
    size_t kind = 0;
    while (kind < MAIL_KINDS && strcmp(kinds[kind], word) != 0)
        kind++;
    return (enum mail_kind)kind;
}

const char *mail_kind_word(enum mail_kind kind)
{
    return kinds[kind];
}

/* ---- reading ---- */

static int complain(struct buf *problem, const char *path, const char *what)
{
    (void)buf_printf(problem, "%s: %s", path, what);
    return ERR_CONFIG;
}

/* The file's text, owned by the caller. */
static int read_text(const char *path, char **ret_text, struct buf *problem)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return complain(problem, path, strerror(errno));
    char *text = calloc(1, FILE_MAX + 1);
    size_t len = text == NULL ? 0 : fread(text, 1, FILE_MAX + 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (text == NULL)
        return ERR_NOMEM;
    const char *what = failed                            ? "cannot be read"
                       : len > FILE_MAX                  ? "it has more than 64 KiB"
                       : memchr(text, '\0', len) != NULL ? "it has a NUL byte"
                       : !utf8_valid(text, len)          ? "it is not in UTF-8"
                                                         : NULL;
    if (what != NULL) {
        free(text);
        return complain(problem, path, what);
    }
    *ret_text = text;
    return 0;
}

static struct entry *entry_of(struct templates *t, enum mail_kind kind, const char *language)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].kind == kind && strcmp(t->entries[i].language, language) == 0)
            return &t->entries[i];
    if (t->count == FILES_MAX)
        return NULL;
    struct entry *entry = &t->entries[t->count++];
    *entry = (struct entry){.kind = kind};
    (void)snprintf(entry->language, sizeof entry->language, "%s", language);
    return entry;
}

/* Ends the subject, which is all of the first line. NULL: there is none. */
static char *split_subject(char *text)
{
    char *end = strchr(text, '\n');
    if (strncmp(text, SUBJECT, sizeof SUBJECT - 1) != 0 || end == NULL)
        return NULL;
    char *body = end + 1;
    if (end > text && end[-1] == '\r')
        end--;
    *end = '\0';
    return body + strspn(body, "\r\n");
}

/* Owns `text`. */
static int take_text(const struct templates *t, struct entry *entry, bool html, char *text,
                     const char *path, struct buf *problem)
{
    char what[TEMPLATE_PROBLEM_SIZE] = "its first line does not begin with \"" SUBJECT "\"";
    char *body = html ? text : split_subject(text);
    if (body == NULL || template_check(body, t->names, what) < 0 ||
        (!html && template_check(text, t->names, what) < 0)) {
        free(text);
        return complain(problem, path, what);
    }
    if (html) {
        free(entry->html);
        entry->html = text;
        return 0;
    }
    free(entry->text);
    entry->text = text;
    entry->body = body;
    return 0;
}

/* KIND.LANGUAGE.txt or .html; false: the name is none of these. */
static bool read_name(const char *name, enum mail_kind *ret_kind, char language[LANGUAGE_SIZE],
                      bool *ret_html)
{
    char word[16];
    char suffix[8];
    if (sscanf(name, "%15[a-z].%35[a-z0-9-].%7[a-z]", word, language, suffix) != 3)
        return false;
    *ret_kind = mail_kind_of(word);
    *ret_html = strcmp(suffix, "html") == 0;
    size_t len = strlen(word) + strlen(language) + strlen(suffix) + 2;
    return *ret_kind != MAIL_KINDS && (*ret_html || strcmp(suffix, "txt") == 0) &&
           strlen(name) == len;
}

static int read_file(struct templates *t, const char *dir, const char *name, struct buf *problem)
{
    enum mail_kind kind;
    char language[LANGUAGE_SIZE];
    bool html;
    char path[PATH_MAX];
    char *text;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!read_name(name, &kind, language, &html))
        return complain(problem, path, "no template has this name (KIND.LANGUAGE.txt or .html)");
    struct entry *entry = entry_of(t, kind, language);
    if (entry == NULL)
        return complain(problem, path, "there are too many templates");
    int code = read_text(path, &text, problem);
    return code < 0 ? code : take_text(t, entry, html, text, path, problem);
}

static int read_dir(struct templates *t, const char *dir, struct buf *problem)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return complain(problem, dir, strerror(errno));
    int code = 0;
    for (const struct dirent *file; code == 0 && (file = readdir(folder)) != NULL;)
        if (file->d_name[0] != '.')
            code = read_file(t, dir, file->d_name, problem);
    (void)closedir(folder);
    return code;
}

/* Beside the program, or where it was built. */
static void own_dir(char ret_path[PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", ret_path, PATH_MAX - sizeof INSTALLED);
    char *slash = NULL;
    if (len > 0) {
        ret_path[len] = '\0';
        slash = strrchr(ret_path, '/');
    }
    if (slash != NULL)
        memcpy(slash, INSTALLED, sizeof INSTALLED);
    if (slash == NULL || access(ret_path, R_OK | X_OK) != 0)
        (void)snprintf(ret_path, PATH_MAX, "%s", CHECKOUT_MAIL_SOURCE);
}

static int read_all(struct templates *t, const char *shop_dir, struct buf *problem)
{
    char path[PATH_MAX];
    own_dir(path);
    int code = read_dir(t, path, problem);
    if (code == 0 && shop_dir[0] != '\0')
        code = read_dir(t, shop_dir, problem);
    for (size_t i = 0; code == 0 && i < t->count; i++)
        if (t->entries[i].text == NULL)
            code = complain(problem, kinds[t->entries[i].kind],
                            "a template in HTML has none in plain text beside it");
    return code;
}

int templates_read(const char *shop_dir, const struct template_value *names,
                   struct templates **ret_templates, struct buf *ret_problem)
{
    struct templates *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    t->names = names;
    int code = read_all(t, shop_dir, ret_problem);
    for (size_t kind = 0; code == 0 && kind < MAIL_KINDS; kind++)
        if (templates_find(t, (enum mail_kind)kind, NULL).text == NULL)
            code = complain(ret_problem, kinds[kind], "it has no template in English");
    if (code < 0) {
        templates_free(t);
        return code;
    }
    *ret_templates = t;
    return 0;
}

void templates_free(struct templates *t)
{
    for (size_t i = 0; t != NULL && i < t->count; i++) {
        free(t->entries[i].text);
        free(t->entries[i].html);
    }
    free(t);
}

/* ---- finding ---- */

static const struct entry *find(const struct templates *t, enum mail_kind kind,
                                const char *language)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].kind == kind && strcmp(t->entries[i].language, language) == 0)
            return &t->entries[i];
    return NULL;
}

struct templates_mail templates_find(const struct templates *t, enum mail_kind kind,
                                     const char *locale)
{
    char language[LANGUAGE_SIZE];
    (void)snprintf(language, sizeof language, "%s", locale == NULL ? "en" : locale);
    for (char *c = language; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    const struct entry *entry = find(t, kind, language);
    for (char *hyphen; entry == NULL && (hyphen = strrchr(language, '-')) != NULL;) {
        *hyphen = '\0';
        entry = find(t, kind, language);
    }
    if (entry == NULL)
        entry = find(t, kind, "en");
    if (entry == NULL)
        return (struct templates_mail){0};
    return (struct templates_mail){.language = entry->language,
                                   .subject = entry->text + sizeof SUBJECT - 1,
                                   .text = entry->body,
                                   .html = entry->html};
}
