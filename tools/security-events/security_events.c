/* Prints the catalogue of security events: security_events --markdown | --json */
#include "catalogue.h"
#include "page.h"

#include <stdio.h>
#include <string.h>

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    putchar('"');
}

static void print_member(const char *name, const char *value, const char *behind)
{
    print_string(name);
    fputs(": ", stdout);
    print_string(value);
    fputs(behind, stdout);
}

static void print_fields(const char *name, const struct catalogue_field *fields, size_t count)
{
    printf("  \"%s\": {", name);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    \"%s\": {", i > 0 ? "," : "", fields[i].name);
        print_member("type", fields[i].type, ", ");
        print_member("meaning", fields[i].meaning, "}");
    }
    fputs("\n  }", stdout);
}

static void print_event(const struct catalogue_event *event)
{
    printf("    \"%s\": {", event->name);
    print_member("level", event->level, ", ");
    print_member("source", event->source, ", ");
    printf("\"counted\": %s, \"fields\": [", event->is_counted ? "true" : "false");
    const char *before = "";
    for (size_t i = 0; i < catalogue_field_count; i++) {
        if (event->fields >> i & 1) {
            printf("%s\"%s\"", before, catalogue_fields[i].name);
            before = ", ";
        }
    }
    fputs("],\n      ", stdout);
    print_member("when", event->when, ",\n      ");
    print_member("action", event->action, "}");
}

static void print_json(void)
{
    puts("{");
    print_fields("common", catalogue_common_fields, catalogue_common_field_count);
    puts(",");
    print_fields("fields", catalogue_fields, catalogue_field_count);
    puts(",\n  \"events\": {");
    for (size_t i = 0; i < catalogue_event_count; i++) {
        print_event(&catalogue_events[i]);
        puts(i + 1 < catalogue_event_count ? "," : "");
    }
    puts("  }\n}");
}

int main(int argc, char **argv)
{
    bool is_written = true;
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        is_written = page_print();
    } else if (argc == 2 && strcmp(argv[1], "--json") == 0) {
        print_json();
    } else {
        fputs("usage: security_events --markdown | --json\n", stderr);
        return 2;
    }
    return is_written && fflush(stdout) == 0 ? 0 : 1;
}
