#include "ctl/cli.h"

#include <string.h>

#include "common/base/version.h"

#define NAME_COLUMN 24
#define COLUMNS 80

static const char *const exit_codes =
    "Exit codes: 0 it worked, 1 it failed, 2 wrong usage or a wrong setting.\n";

/* How many of argv's words from `first` on are the command's; 0: it is another one. */
static int match(const struct command *command, int argc, char *const *argv, int first)
{
    const char *word = command->words;
    int count = 0;
    while (*word != '\0') {
        size_t len = strcspn(word, " ");
        if (first + count >= argc || strlen(argv[first + count]) != len ||
            memcmp(argv[first + count], word, len) != 0)
            return 0;
        count++;
        word += len + strspn(word + len, " ");
    }
    return count;
}

/* Whether the command is one of "items …". */
static bool is_of_family(const struct command *command, const char *family)
{
    size_t len = strlen(family);
    return strncmp(command->words, family, len) == 0 && command->words[len] == ' ';
}

/* Whether `word` begins some command: then the next word is missing or wrong. */
static bool is_family(const char *word)
{
    for (const struct command *const *c = commands; *c != NULL; c++)
        if (is_of_family(*c, word))
            return true;
    return false;
}

static int unknown_command(int argc, char *const *argv, int first, struct buf *problem)
{
    const char *next = first + 1 < argc ? argv[first + 1] : NULL;
    if (!is_family(argv[first])) {
        (void)buf_printf(problem, "unknown command \"%.40s\"; see --help", argv[first]);
    } else {
        (void)buf_printf(problem, "\"%.40s%s%.40s\" is no command; there is", argv[first],
                         next == NULL ? "" : " ", next == NULL ? "" : next);
        const char *comma = " ";
        for (const struct command *const *c = commands; *c != NULL; c++) {
            if (!is_of_family(*c, argv[first]))
                continue;
            (void)buf_printf(problem, "%s\"%s\"", comma, (*c)->words);
            comma = ", ";
        }
    }
    return CTL_USAGE;
}

static int unknown_option(const char *word, const struct command *command, struct buf *problem)
{
    (void)buf_printf(problem, "unknown option %.40s", word);
    if (command != NULL)
        (void)buf_printf(problem, "; see `checkoutctl %s --help`", command->words);
    return CTL_USAGE;
}

/* Options that every command has; false if `word` is none of them. */
static bool take_common(const char *word, struct cli *cli)
{
    if (strcmp(word, "--json") == 0)
        cli->json = true;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        cli->help = true;
    else if (strcmp(word, "--version") == 0)
        cli->version = true;
    else
        return false;
    return true;
}

/* Reads the option in argv[*at], and moves to its value if that is a separate word. */
static int take_option(int argc, char *const *argv, int *at, struct cli *cli, struct buf *problem)
{
    const char *word = argv[*at];
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    for (size_t i = 0; cli->command->options[i].name != NULL; i++) {
        const struct command_option *option = &cli->command->options[i];
        if (strlen(option->name) != len || memcmp(option->name, name, len) != 0)
            continue;
        bool inside = name[len] == '=';
        if (option->value == NULL && !inside) {
            cli->args.options[i] = "";
        } else if (option->value != NULL && inside) {
            cli->args.options[i] = name + len + 1;
        } else if (option->value != NULL && *at + 1 < argc) {
            cli->args.options[i] = argv[++*at];
        } else {
            (void)buf_printf(problem, "--%s takes %s%s", option->name,
                             option->value == NULL ? "no value" : "a value: ",
                             option->value == NULL ? "" : option->value);
            return CTL_USAGE;
        }
        return CTL_FINE;
    }
    return unknown_option(word, cli->command, problem);
}

/* "-5" is a number, no option. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static int take_words(int argc, char *const *argv, int at, struct cli *cli, struct buf *problem)
{
    size_t operands = 0;
    bool only_operands = false; /* after "--" */
    for (; at < argc; at++) {
        const char *word = argv[at];
        int code = CTL_FINE;
        if (!only_operands && strcmp(word, "--") == 0)
            only_operands = true;
        else if (!only_operands && take_common(word, cli))
            continue;
        else if (!only_operands && strncmp(word, "--", 2) == 0)
            code = take_option(argc, argv, &at, cli, problem);
        else if (!only_operands && is_option(word))
            code = unknown_option(word, cli->command, problem);
        else if (operands < cli->command->operand_count)
            cli->args.operands[operands++] = word;
        else {
            (void)buf_printf(problem, "%s: \"%.40s\" is one argument too many", cli->command->words,
                             word);
            return CTL_USAGE;
        }
        if (code != CTL_FINE)
            return code;
    }
    if (!cli->help && operands + cli->command->optional_count < cli->command->operand_count) {
        (void)buf_printf(problem, "%s needs %s", cli->command->words, cli->command->operands);
        return CTL_USAGE;
    }
    return CTL_FINE;
}

int cli_parse(int argc, char *const *argv, struct cli *ret_cli, struct buf *ret_problem)
{
    struct cli cli = {.command = NULL};
    int at = 1;
    while (at < argc && take_common(argv[at], &cli))
        at++;
    if (at < argc && argv[at][0] == '-')
        return unknown_option(argv[at], NULL, ret_problem);
    if (at >= argc) {
        if (!cli.help && !cli.version) {
            (void)buf_str(ret_problem, "a command is missing; see --help");
            return CTL_USAGE;
        }
        *ret_cli = cli;
        return CTL_FINE;
    }
    int words = 0;
    for (const struct command *const *c = commands; *c != NULL && words == 0; c++) {
        words = match(*c, argc, argv, at);
        if (words > 0)
            cli.command = *c;
    }
    if (cli.command == NULL) {
        int rest = at + 1;
        while (rest < argc && take_common(argv[rest], &cli))
            rest++;
        if (!cli.help || rest < argc || !is_family(argv[at]))
            return unknown_command(argc, argv, at, ret_problem);
        cli.family = argv[at];
        *ret_cli = cli;
        return CTL_FINE;
    }
    int code = take_words(argc, argv, at + words, &cli, ret_problem);
    if (code == CTL_FINE)
        *ret_cli = cli;
    return code;
}

/* A paragraph, wrapped. */
static void help_paragraph(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > COLUMNS) {
            (void)buf_char(out, '\n');
            column = 0;
        } else if (column > 0) {
            (void)buf_char(out, ' ');
            column++;
        }
        (void)buf_append(out, text, word);
        column += word;
        text += word + strspn(text + word, " ");
    }
    (void)buf_char(out, '\n');
}

/* "  name        text", with the text on a line of its own after a long name. */
static void help_line(struct buf *out, const char *name, const char *text)
{
    size_t len = strlen(name);
    (void)buf_printf(out, "  %s", name);
    if (len + 2 > NAME_COLUMN) {
        (void)buf_char(out, '\n');
        len = 0;
        (void)buf_str(out, "  ");
    }
    (void)buf_printf(out, "%*s%s\n", (int)(NAME_COLUMN - len), "", text);
}

static void option_line(struct buf *out, const struct command_option *option)
{
    struct buf name;
    buf_init(&name, 128);
    (void)buf_printf(&name, "--%s%s%s", option->name, option->value == NULL ? "" : " ",
                     option->value == NULL ? "" : option->value);
    help_line(out, buf_text(&name), option->help);
    buf_free(&name);
}

static void command_line(struct buf *out, const struct command *command)
{
    struct buf name;
    buf_init(&name, 128);
    (void)buf_printf(&name, "%s%s%s", command->words, command->operands[0] == '\0' ? "" : " ",
                     command->operands);
    help_line(out, buf_text(&name), command->summary);
    buf_free(&name);
}

static void help_family(const char *family, struct buf *out)
{
    (void)buf_printf(out, "usage: checkoutctl %.40s COMMAND [--help]\n\ncommands:\n", family);
    for (const struct command *const *c = commands; *c != NULL; c++)
        if (is_of_family(*c, family))
            command_line(out, *c);
}

static void help_whole(struct buf *out)
{
    (void)buf_str(out, "usage: checkoutctl COMMAND [--json] [--help]\n\n"
                       "The operator's tool of Checkout " CHECKOUT_VERSION
                       ": prepares the servers, looks after items\nand orders.\n\ncommands:\n");
    for (const struct command *const *c = commands; *c != NULL; c++)
        command_line(out, *c);
    (void)buf_str(out, "\noptions of all:\n");
    help_line(out, "--json", "one JSON document, or of lists one object a line");
    help_line(out, "--help", "this text, or after a command what it does");
    help_line(out, "--version", "the version");
    (void)buf_printf(
        out, "\n%s\nSettings (each command needs some of them; its --help names these):\n\n",
        exit_codes);
    (void)cfg_help(CFG_CTL, out);
}

static void help_command(const struct command *command, struct buf *out)
{
    (void)buf_printf(out, "usage: checkoutctl %s%s%s%s\n\nThis command %s.\n", command->words,
                     command->operands[0] == '\0' ? "" : " ", command->operands,
                     command->options[0].name == NULL ? " [--json]" : " [OPTIONS] [--json]",
                     command->summary);
    if (command->details[0] != '\0') {
        (void)buf_char(out, '\n');
        help_paragraph(out, command->details);
    }
    (void)buf_str(out, "\noptions:\n");
    for (size_t i = 0; command->options[i].name != NULL; i++)
        option_line(out, &command->options[i]);
    help_line(out, "--json", "machine-readable output");
    if (command->settings != 0)
        (void)buf_str(out, "\nsettings:\n");
    for (size_t i = 0; i < CFG_COUNT; i++)
        if ((command->settings & (UINT64_C(1) << i)) != 0)
            (void)buf_printf(out, "  %s\n", cfg_name((enum cfg_id)i));
    (void)buf_printf(out, "\n%s", exit_codes);
}

int cli_help(const struct cli *cli, struct buf *out)
{
    if (cli->command != NULL)
        help_command(cli->command, out);
    else if (cli->family != NULL)
        help_family(cli->family, out);
    else
        help_whole(out);
    return out->failed ? CTL_FAILED : CTL_FINE;
}
