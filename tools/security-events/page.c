#include "page.h"

#include "catalogue.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The parts of the page, by the first word of OWASP's names. */
static const struct {
    const char *prefix;
    const char *title;
    const char *introduction;
} groups[] = {
    {"sys_", "the handler's life, and its protections",
     "Starts, ends and crashes of the handler's processes, and what does not protect although it should."},
    {"malicious_", "an attack, very likely",
     "Each of these is worth waking somebody. The names behind `malicious_` are azfn's own."},
    {"authn_", "who somebody is", "The app's identity, the credentials that services ask for, and callers."},
    {"authz_", "what was refused",
     "To a function, by azfn.json, which denies whatever it does not grant: where code and azfn.json fit together "
     "there are none. Or to a caller, by a function."},
    {"sensitive_", "what was read",
     "Secrets, and requests to services with the app's credentials: granted, used, and in trouble."},
    {"input_", "what is not valid", "Requests, events and settings that were not taken."},
    {"excess_", "limits reached",
     "Each limit has its number in azfn.json; beyond it azfn answers, says so here, and goes on."},
};

/* What OWASP's vocabulary gives its names. Its CRITICAL is ERROR here: that is the highest level which the host has. */
static const struct {
    const char *name;
    const char *level;
} owasp_levels[] = {
    {"sys_startup", "WARN"},
    {"sys_shutdown", "WARN"},
    {"sys_restart", "WARN"},
    {"sys_crash", "WARN"},
    {"sys_monitor_disabled", "WARN"},
    {"authn_token_created", "INFO"},
    {"authn_login_success", "INFO"},
    {"authn_login_fail", "WARN"},
    {"authz_fail", "ERROR"},
    {"sensitive_read", "WARN"},
    {"input_validation_fail", "WARN"},
    {"excess_rate_limit_exceeded", "WARN"},
    {"malicious_", "ERROR"},
};

static const char *const introduction[] = {
    "<!-- Written by `make events` from runtime/base/security_event.h and event_fields.h: change it there. -->",
    "",
    "# Security events",
    "",
    "Every event that azfn logs: what it means, and what to do about it. The names are those of OWASP's [logging",
    "vocabulary](https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html), with what",
    "it is about behind the colon. Queries, alerts and a workbook for them lie in",
    "[deploy/monitoring](../deploy/monitoring/README.md).",
    "",
};

static const char *const line[] = {
    "## A line",
    "",
    "One JSON object on one line of at most 8 KiB; a text that had to be cut ends with `[cut]`. Here on several:",
    "",
    "```json",
    "{\"datetime\": \"2026-01-01T00:00:00.000+00:00\", \"level\": \"ERROR\", \"appid\": \"my-app\", \"sequence\": 17,",
    " \"origin\": \"broker\", \"event\": \"authz_fail:secret\", \"function\": \"order\", \"invocation_id\": \"...\",",
    " \"trace_id\": \"...\", \"secret\": \"webhook-key\", \"reason\": \"...\", \"description\": \"...\"}",
    "```",
    "",
    "These are the fields of every line. A line without `event` is no security event, but a function's own",
    "(`azfn_log()`), or what it printed.",
    "",
};

static const char *const reading[] = {
    "",
    "No line holds the value of a secret, a token, or a header that carries one: there is no type of field for",
    "them. A URL is written without query, fragment and user.",
    "",
    "### Who says it: origin",
    "",
    "- `broker`: the process that holds the credentials and the log. No function and no caller can forge its",
    "  events or keep them back; only which function and invocation they name is what the worker has said.",
    "- `worker`: the process that parses requests and runs the functions. It is azfn that speaks there, or a",
    "  function by `azfn_log()` or `azfn_security_event()`. Whoever exploits a function can forge these events and",
    "  leave them out. He can't write one of the broker's: a worker that tries is ended, with an event",
    "  (`malicious_frame:worker`).",
    "- `worker-stdout`, `worker-stderr`: what a function printed. It is a description only, never an event.",
    "",
    "So an alarm of the worker is worth looking at, and its silence proves nothing: what is asked about the",
    "broker's events has to ask for `origin == \"broker\"`.",
    "",
    "### Levels",
    "",
    "INFO goes to stdout, WARN and ERROR to stderr; of these the host makes the severities Information, Warning",
    "and Error. It takes a line of stderr for a warning when \"warn\" stands anywhere in it: so in an ERROR line",
    "each \"warn\" is written `w\\u0061rn`, which everything that reads JSON undoes. The levels are OWASP's,",
    "whose CRITICAL is ERROR here, since the host has none above it. Different are:",
    "",
    "| event | OWASP | here |",
    "|---|---|---|",
};

static const char *const arriving[] = {
    "",
    "Starts, ends and reads that are granted are every day's work: as warnings they would hide the others. What",
    "ends the handler, or may, is an error: the last three Error lines are what the host shows to an operator.",
    "",
    "### In Application Insights",
    "",
    "The lines are rows of `traces`, with the category `Host.Function.Console` and the line as message:",
    "",
    "```kusto",
    "traces",
    "| where customDimensions.Category == \"Host.Function.Console\"",
    "| extend line = parse_json(message)",
    "| where line.event == \"authz_fail:secret\" and line.origin == \"broker\"",
    "```",
    "",
    "The category has to be asked for. What a function logs as Information in an invocation that came as an",
    "envelope reaches the host in its answer, and `traces` with the category `Function.<name>.User`: it may look",
    "like one of these lines, and is Information there whatever it says. The host knows no other level for it, so",
    "the Warnings and Errors of such a function are lines of the console, as all of any other function. These are",
    "tied to no operation of Application Insights: `trace_id` and `invocation_id` say where one belongs.",
    "",
    "host.json keeps `Host.Function.Console` at Information, and traces out of sampling (`excludedTypes`), which",
    "would otherwise drop some at more than 20 items per second. Where it does not, or an app setting stands above it,",
    "each start says so: sys_monitor_disabled:host_settings.",
    "",
    "### How often, and what is missing",
    "",
    "An event that is marked \"counted\" is written the first time; the next line of its kind says in `count` how",
    "often it happened since. The others have a line each time.",
    "",
    "Lines have limits of their number, so that nobody can flood the log or hide in it, and a pipe that nobody",
    "reads blocks nothing. What was dropped is told by `excess_rate_limit_exceeded:log`, by event and with the",
    "count. Where the broker dropped it, `sequence`, which counts all lines, has a gap; what the worker has not",
    "sent to the broker has no number.",
    "",
    "## Fields",
    "",
    "An event has those that are named with it, as far as they apply.",
    "",
};

/* As GitHub makes it of a heading. */
static void print_anchor(const char *heading)
{
    for (; *heading != '\0'; heading++) {
        if (*heading == ' ') {
            putchar('-');
        } else if (isalnum((unsigned char)*heading) || *heading == '_') {
            putchar(*heading);
        }
    }
}

static void print_contents(void)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        printf("- [`%s`: %s](#%s-", groups[i].prefix, groups[i].title, groups[i].prefix);
        print_anchor(groups[i].title);
        puts(")");
    }
    putchar('\n');
}

static void print_lines(const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        puts(lines[i]);
    }
}

#define PRINT_LINES(lines) print_lines(lines, sizeof(lines) / sizeof((lines)[0]))

/* A word with an underscore, such as invocation_id or sys_crash:worker, is somebody's name: it is shown as code. */
static void print_text(const char *text)
{
    while (*text != '\0') {
        size_t blank = strspn(text, " (");
        printf("%.*s", (int)blank, text);
        text += blank;
        size_t word = strcspn(text, " ");
        size_t name = word;
        while (name > 0 && !isalnum((unsigned char)text[name - 1])) {
            name--;
        }
        const char *mark = memchr(text, '_', name) ? "`" : "";
        printf("%s%.*s%s%.*s", mark, (int)name, text, mark, (int)(word - name), text + name);
        text += word;
    }
}

static void print_fields(const struct catalogue_field *fields, size_t count)
{
    puts("| field | type | what it says |\n|---|---|---|");
    for (size_t i = 0; i < count; i++) {
        printf("| `%s` | %s | ", fields[i].name, fields[i].type);
        print_text(fields[i].meaning);
        puts(" |");
    }
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char *owasp_level(const char *name)
{
    size_t length = strcspn(name, ":");
    for (size_t i = 0; i < sizeof(owasp_levels) / sizeof(owasp_levels[0]); i++) {
        const char *known = owasp_levels[i].name;
        bool is_group = known[strlen(known) - 1] == '_';
        if (is_group ? starts_with(name, known) : strlen(known) == length && starts_with(name, known)) {
            return owasp_levels[i].level;
        }
    }
    return NULL;
}

static void print_other_levels(void)
{
    for (size_t i = 0; i < catalogue_event_count; i++) {
        const struct catalogue_event *event = &catalogue_events[i];
        const char *level = owasp_level(event->name);
        if (level && strcmp(level, event->level) != 0) {
            printf("| `%s` | %s | %s |\n", event->name, level, event->level);
        }
    }
}

static const char *says(const struct catalogue_event *event)
{
    if (strcmp(event->source, "function") == 0) {
        return "by a function (origin `worker`)";
    }
    if (strcmp(event->source, "any") == 0) {
        return "by the broker or the worker";
    }
    return strcmp(event->source, "worker") == 0 ? "by the worker" : "by the broker";
}

static void print_event(const struct catalogue_event *event)
{
    printf("### `%s`\n\n**%s**, %s, %s.\n\n", event->name, event->level, says(event),
           event->is_counted ? "counted" : "each time");
    print_text(event->when);
    fputs("\n\n- What to do: ", stdout);
    print_text(event->action);
    putchar('\n');
    const char *before = "- Fields: ";
    for (size_t i = 0; i < catalogue_field_count; i++) {
        if (event->fields >> i & 1) {
            printf("%s`%s`", before, catalogue_fields[i].name);
            before = ", ";
        }
    }
    puts(event->fields != 0 ? "\n" : "");
}

static size_t print_group(size_t group)
{
    size_t count = 0;
    printf("## `%s`: %s\n\n%s\n\n", groups[group].prefix, groups[group].title, groups[group].introduction);
    for (size_t i = 0; i < catalogue_event_count; i++) {
        if (starts_with(catalogue_events[i].name, groups[group].prefix)) {
            print_event(&catalogue_events[i]);
            count++;
        }
    }
    return count;
}

bool page_print(void)
{
    for (size_t i = 0; i < catalogue_event_count; i++) {
        if (!owasp_level(catalogue_events[i].name)) {
            fprintf(stderr, "security_events: %s is not one of OWASP's names\n", catalogue_events[i].name);
            return false;
        }
    }
    PRINT_LINES(introduction);
    print_contents();
    PRINT_LINES(line);
    print_fields(catalogue_common_fields, catalogue_common_field_count);
    PRINT_LINES(reading);
    print_other_levels();
    PRINT_LINES(arriving);
    print_fields(catalogue_fields, catalogue_field_count);
    putchar('\n');
    size_t printed = 0;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        printed += print_group(i);
    }
    if (printed != catalogue_event_count) {
        fputs("security_events: an event is in no part of the page\n", stderr);
    }
    return printed == catalogue_event_count;
}
