#include "config/config_policy.h"

#include "base/span.h"
#include "config/config_fault.h"

#include <stdlib.h>

/* What the broker keeps tokens and secrets of, with the audiences of the vaults themselves. */
#define MAX_ENTRIES 250
#define MAX_NAME_BYTES 127
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char NAME_EXPECTED[] = "a name of up to 127 letters, digits, dots, dashes and underscores";

int azfn__config_order(struct azfn_span a, struct azfn_span b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

enum azfn_error azfn__config_find_map(struct azfn__config_reader *reader, const struct azfn__config_node *root,
                                      const char *key, size_t max_count, struct azfn__config_node *out_map,
                                      size_t *out_count)
{
    *out_count = 0;
    enum azfn_error error = azfn__config_member(reader, root, key, out_map);
    bool is_there = error == AZFN_OK && azfn_span_is_present(out_map->place);
    return is_there ? azfn__config_object(reader, out_map, max_count, out_count) : error;
}

/* Names go into logs and frames as they are. */
static bool is_name(struct azfn_span name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = azfn__lower((unsigned char)name.data[i]);
        bool is_start = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (!is_start && (i == 0 || (c != '.' && c != '-'))) {
            return false;
        }
    }
    return name.length > 0 && name.length <= MAX_NAME_BYTES;
}

/* Any table: its entries begin with their names. */
static int order_entries(const void *a, const void *b)
{
    struct azfn_span names[2];
    memcpy(&names[0], a, sizeof(names[0]));
    memcpy(&names[1], b, sizeof(names[1]));
    return azfn__config_order(names[0], names[1]);
}

/* The names were sorted: now the second one of a pair is found in the file again, for its line. */
static enum azfn_error refuse_double(struct azfn__config_reader *reader, const struct azfn__config_node *map,
                                     size_t count, struct azfn_span name)
{
    struct azfn__json_walk walk = azfn__json_walk(map->value);
    struct azfn__config_node node = {0};
    enum azfn_error error = AZFN_OK;
    size_t seen = 0;
    for (size_t i = 0; error == AZFN_OK && i < count && seen < 2; i++) {
        bool has_node;
        error = azfn__config_next(reader, map, &walk, i, &node, &has_node);
        seen += error == AZFN_OK && azfn__span_equal(node.name, name);
    }
    return error == AZFN_OK ? azfn__config_refuse(reader, &node, "expected the key once, found it again") : error;
}

static enum azfn_error sort_entries(struct azfn__config_reader *reader, const struct azfn__config_node *map,
                                    void *entries, size_t count, size_t entry_bytes)
{
    if (count > 1) {
        qsort(entries, count, entry_bytes, order_entries);
    }
    for (size_t i = 1; i < count; i++) {
        const char *entry = (const char *)entries + i * entry_bytes;
        if (order_entries(entry - entry_bytes, entry) == 0) {
            struct azfn_span name;
            memcpy(&name, entry, sizeof(name));
            return refuse_double(reader, map, count, name);
        }
    }
    return AZFN_OK;
}

static enum azfn_error next_entry(struct azfn__config_reader *reader, const struct azfn__config_node *map,
                                  struct azfn__json_walk *walk, size_t index, struct azfn__config_node *out_entry)
{
    bool has_entry;
    enum azfn_error error = azfn__config_next(reader, map, walk, index, out_entry, &has_entry);
    if (error == AZFN_OK && !is_name(out_entry->name)) {
        return azfn__config_expected_name(reader, out_entry, NAME_EXPECTED, out_entry->name, azfn__absent());
    }
    return error;
}

/* What people paste by mistake must not end in a log: a secret instead of its reference, a URL that holds a
 * password or a signature. */
static bool may_be_shown(const char *key, struct azfn_span text)
{
    if (strcmp(key, "reference") == 0) {
        return azfn__span_starts_with(text, AZFN__SPAN("@Microsoft.KeyVault("));
    }
    /* a client's secret instead of its id */
    if (strcmp(key, "clientId") == 0 || strcmp(key, "principalId") == 0 || strcmp(key, "resourceId") == 0) {
        return text.length == 0;
    }
    return text.length == 0 || (!memchr(text.data, '@', text.length) && !memchr(text.data, '?', text.length));
}

enum azfn_error azfn__config_read_checked(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                          const char *key, const char *expected,
                                          const char *(*check)(struct azfn_span), struct azfn_span *out_text)
{
    struct azfn__config_node node;
    enum azfn_error error = azfn__config_member(reader, object, key, &node);
    if (error == AZFN_OK) {
        error = azfn__config_text(reader, &node, expected, out_text);
    }
    const char *refused = error == AZFN_OK ? check(*out_text) : NULL;
    if (refused && !may_be_shown(key, *out_text)) {
        return azfn__config_refuse(reader, &node, "expected %s, found something else (not shown)", refused);
    }
    return refused ? azfn__config_expected(reader, &node, refused) : error;
}

static const char *check_reference(struct azfn_span text)
{
    struct azfn__key_vault_reference reference;
    return azfn__key_vault_reference_parse(text, &reference);
}

static enum azfn_error read_preload(struct azfn__config_reader *reader, const struct azfn__config_node *secret,
                                    bool *out_is_preloaded)
{
    struct azfn__config_node node;
    enum azfn_error error = azfn__config_member(reader, secret, "preload", &node);
    bool is_there = error == AZFN_OK && azfn_span_is_present(node.place);
    return is_there ? azfn__config_bool(reader, &node, out_is_preloaded) : error;
}

enum azfn_error azfn__config_read_secrets(struct azfn__config *config, struct azfn__config_reader *reader,
                                          const struct azfn__config_node *root)
{
    static const struct azfn_span KNOWN[] = {{"reference", 9}, {"preload", 7}};
    struct azfn__config_node map;
    size_t count;
    enum azfn_error error = azfn__config_find_map(reader, root, "secrets", MAX_ENTRIES, &map, &count);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn__config_secret *secrets = azfn__arena_alloc(reader->arena, (count + 1) * sizeof(*secrets));
    if (!secrets) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(map.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        secrets[i] = (struct azfn__config_secret){0};
        error = next_entry(reader, &map, &walk, i, &node);
        if (error == AZFN_OK) {
            error = azfn__config_check_keys(reader, &node, KNOWN, COUNT_OF(KNOWN));
        }
        if (error == AZFN_OK) {
            secrets[i].name = node.name;
            error = azfn__config_read_checked(reader, &node, "reference", "@Microsoft.KeyVault(...)", check_reference,
                                              &secrets[i].reference);
        }
        if (error == AZFN_OK) {
            error = read_preload(reader, &node, &secrets[i].is_preloaded);
        }
    }
    config->secrets = secrets;
    config->secret_count = error == AZFN_OK ? count : 0;
    return error == AZFN_OK ? sort_entries(reader, &map, secrets, count, sizeof(*secrets)) : error;
}

enum azfn_error azfn__config_read_destinations(struct azfn__config *config, struct azfn__config_reader *reader,
                                               const struct azfn__config_node *root)
{
    struct azfn__config_node map;
    size_t count;
    enum azfn_error error = azfn__config_find_map(reader, root, "destinations", MAX_ENTRIES, &map, &count);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn__config_destination *destinations =
        azfn__arena_alloc(reader->arena, (count + 1) * sizeof(*destinations));
    if (!destinations) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(map.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        error = next_entry(reader, &map, &walk, i, &node);
        if (error == AZFN_OK) {
            error = azfn__config_read_destination(config, reader, &node, &destinations[i]);
        }
    }
    config->destinations = destinations;
    config->destination_count = error == AZFN_OK ? count : 0;
    return error == AZFN_OK ? sort_entries(reader, &map, destinations, count, sizeof(*destinations)) : error;
}
