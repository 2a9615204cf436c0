/* The HTTP view of azfn.h: the same for a forwarded request and for one in an envelope. */
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

/* Appends an element to a list whose array doubles in the invocation's memory. */
struct list_maker {
    struct azfn__invocation *invocation;
    struct azfn__http_header *items;
    size_t count;
    size_t capacity;
};

static void add(struct list_maker *maker, struct azfn_span name, struct azfn_span value)
{
    if (maker->count == maker->capacity) {
        size_t capacity = maker->capacity ? maker->capacity * 2 : 8;
        struct azfn__http_header *items = azfn__invocation_alloc(maker->invocation, capacity * sizeof(*items));
        if (!items) {
            return;
        }
        if (maker->count > 0) {
            memcpy(items, maker->items, maker->count * sizeof(*items));
        }
        maker->items = items;
        maker->capacity = capacity;
    }
    maker->items[maker->count++] = (struct azfn__http_header){.name = name, .value = value};
}

static void finish_list(const struct list_maker *maker, struct azfn__header_list *out_list)
{
    *out_list = (struct azfn__header_list){.items = maker->items, .count = maker->count, .is_made = true};
}

static bool is_http(const struct azfn__invocation *invocation)
{
    return invocation->function->config->trigger == AZFN__TRIGGER_HTTP;
}

/* NULL where the event is over, or is no HTTP request. */
static struct azfn__invocation *http_of(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation && is_http(invocation) ? invocation : NULL;
}

static bool is_enveloped(const struct azfn__invocation *invocation)
{
    return invocation->mode == AZFN__MODE_ENVELOPE;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoded, and "+" as a blank: the host itself sends %20 and %2B, a client's own query may not.
 * An escape that is none stays as it is. Without escapes nothing is copied. */
static struct azfn_span decode_query_part(struct azfn__invocation *invocation, struct azfn_span part)
{
    if (part.length == 0 || (!memchr(part.data, '%', part.length) && !memchr(part.data, '+', part.length))) {
        return part;
    }
    char *text = azfn__invocation_alloc(invocation, part.length);
    size_t length = 0;
    for (size_t i = 0; text && i < part.length; i++) {
        char c = part.data[i] == '+' ? ' ' : part.data[i];
        if (c == '%' && i + 2 < part.length && hex_value(part.data[i + 1]) >= 0 && hex_value(part.data[i + 2]) >= 0) {
            c = (char)(hex_value(part.data[i + 1]) * 16 + hex_value(part.data[i + 2]));
            i += 2;
        }
        text[length++] = c;
    }
    return azfn__span(text, text ? length : 0);
}

static struct azfn_span join(struct azfn__invocation *invocation, struct azfn_span a, struct azfn_span separator,
                             struct azfn_span b)
{
    const struct azfn_span parts[] = {a, separator, b};
    char *text = azfn__invocation_alloc(invocation, a.length + separator.length + b.length);
    size_t length = 0;
    for (size_t i = 0; text && i < 3; i++) {
        if (parts[i].length > 0) {
            memcpy(text + length, parts[i].data, parts[i].length);
            length += parts[i].length;
        }
    }
    return text ? azfn__span(text, length) : a;
}

/* The values of all items from index on that have its name, joined with a comma; they are taken off the list. */
static struct azfn_span join_repeats(struct list_maker *maker, size_t index)
{
    struct azfn__http_header *items = maker->items;
    size_t length = items[index].value.length;
    size_t repeats = 0;
    for (size_t i = index + 1; i < maker->count; i++) {
        if (azfn__span_equal_ignore_case(items[i].name, items[index].name)) {
            length += 1 + items[i].value.length;
            repeats++;
        }
    }
    char *text = repeats > 0 ? azfn__invocation_alloc(maker->invocation, length) : NULL;
    if (!text) {
        return items[index].value;
    }
    size_t used = 0;
    size_t kept = index + 1;
    for (size_t i = index; i < maker->count; i++) {
        if (i > index && !azfn__span_equal_ignore_case(items[i].name, items[index].name)) {
            items[kept++] = items[i];
            continue;
        }
        if (i > index) {
            text[used++] = ',';
        }
        if (items[i].value.length > 0) {
            memcpy(text + used, items[i].value.data, items[i].value.length);
            used += items[i].value.length;
        }
    }
    maker->count = kept;
    return azfn__span(text, used);
}

/* The host joins what comes twice; a request that it has not rebuilt (proxying) still has it twice. How many there
 * are was limited when the request was routed. */
static void make_forwarded_query(struct list_maker *maker, struct azfn_span rest)
{
    while (rest.length > 0) {
        const char *end = memchr(rest.data, '&', rest.length);
        struct azfn_span pair = azfn__span(rest.data, end ? (size_t)(end - rest.data) : rest.length);
        const char *equals = pair.length > 0 ? memchr(pair.data, '=', pair.length) : NULL;
        size_t name_length = equals ? (size_t)(equals - pair.data) : pair.length;
        if (pair.length > 0) {
            add(maker, decode_query_part(maker->invocation, azfn__span(pair.data, name_length)),
                decode_query_part(maker->invocation, azfn__span_from(pair, name_length + (equals ? 1 : 0))));
        }
        rest = azfn__span_from(rest, pair.length + 1);
    }
    for (size_t i = 0; i < maker->count; i++) {
        maker->items[i].value = join_repeats(maker, i);
    }
}

/* What the host puts between the values of a header that came more than once. */
static struct azfn_span separator_of(struct azfn_span name)
{
    return azfn__span_equal_ignore_case(name, AZFN__SPAN("Cookie")) ? AZFN__SPAN("; ") : AZFN__SPAN(", ");
}

/* The value of an envelope's header: an array of strings, or, tolerantly, a string. */
static struct azfn_span joined_header(struct azfn__invocation *invocation, struct azfn_span name, struct azfn_span value)
{
    if (azfn__json_type_of(value) != AZFN__JSON_ARRAY) {
        return azfn__envelope_string(value, &invocation->arena);
    }
    struct azfn_span text = {0};
    struct azfn__json_walk walk = azfn__json_walk(value);
    while (azfn__json_walk_next(&walk)) {
        struct azfn_span item = azfn__envelope_string(walk.value, &invocation->arena);
        if (azfn_span_is_present(item)) {
            text = azfn_span_is_present(text) ? join(invocation, text, separator_of(name), item) : item;
        }
    }
    return text;
}

static void make_enveloped(struct list_maker *maker, struct azfn_span object, bool is_headers)
{
    struct azfn__json_walk walk = azfn__json_walk(object);
    while (azfn__json_walk_next(&walk)) {
        struct azfn_span name = azfn__envelope_string(walk.name, &maker->invocation->arena);
        struct azfn_span value = is_headers ? joined_header(maker->invocation, name, walk.value)
                                            : azfn__envelope_string(walk.value, &maker->invocation->arena);
        if (azfn_span_is_present(value)) {
            add(maker, name, value);
        }
    }
}

static const struct azfn__header_list *query_of(struct azfn__invocation *invocation)
{
    if (!invocation->query.is_made) {
        struct list_maker maker = {.invocation = invocation};
        if (is_enveloped(invocation)) {
            make_enveloped(&maker, invocation->envelope.query, false);
        } else {
            make_forwarded_query(&maker, invocation->request.query);
        }
        finish_list(&maker, &invocation->query);
    }
    return &invocation->query;
}

static const struct azfn__header_list *headers_of(struct azfn__invocation *invocation)
{
    if (!invocation->headers.is_made) {
        struct list_maker maker = {.invocation = invocation};
        if (is_enveloped(invocation)) {
            make_enveloped(&maker, invocation->envelope.headers, true);
            finish_list(&maker, &invocation->headers);
        } else {
            invocation->headers = (struct azfn__header_list){
                .items = invocation->request.headers, .count = invocation->request.header_count, .is_made = true};
        }
    }
    return &invocation->headers;
}

static const struct azfn__header_list *params_of(struct azfn__invocation *invocation)
{
    if (!invocation->params.is_made) {
        struct list_maker maker = {.invocation = invocation};
        if (is_enveloped(invocation)) {
            make_enveloped(&maker, invocation->envelope.params, false);
        }
        for (size_t i = 0; i < invocation->route.param_count; i++) {
            if (azfn_span_is_present(invocation->route.params[i].value)) {
                add(&maker, invocation->route.params[i].name, invocation->route.params[i].value);
            }
        }
        finish_list(&maker, &invocation->params);
    }
    return &invocation->params;
}

static bool list_at(const struct azfn__header_list *list, size_t index, struct azfn_span *out_name,
                    struct azfn_span *out_value)
{
    if (index >= list->count) {
        return false;
    }
    *out_name = list->items[index].name;
    *out_value = list->items[index].value;
    return true;
}

static struct azfn_span list_find(const struct azfn__header_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (azfn__span_equal_ignore_case(list->items[i].name, azfn_span_of(name))) {
            return list->items[i].value;
        }
    }
    return azfn__absent();
}

bool azfn_http_query_at(struct azfn_invocation *handle, size_t index, struct azfn_span *out_name,
                        struct azfn_span *out_value)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation && list_at(query_of(invocation), index, out_name, out_value);
}

bool azfn_http_header_at(struct azfn_invocation *handle, size_t index, struct azfn_span *out_name,
                         struct azfn_span *out_value)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation && list_at(headers_of(invocation), index, out_name, out_value);
}

bool azfn_http_param_at(struct azfn_invocation *handle, size_t index, struct azfn_span *out_name,
                        struct azfn_span *out_value)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation && list_at(params_of(invocation), index, out_name, out_value);
}

struct azfn_span azfn_http_query(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation ? list_find(query_of(invocation), name) : azfn__absent();
}

struct azfn_span azfn_http_param(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation ? list_find(params_of(invocation), name) : azfn__absent();
}

static struct azfn_span header_of(struct azfn__invocation *invocation, struct azfn_span name)
{
    struct azfn_span text = {0};
    const struct azfn__header_list *headers = headers_of(invocation);
    for (size_t i = 0; i < headers->count; i++) {
        if (azfn__span_equal_ignore_case(headers->items[i].name, name)) {
            struct azfn_span value = headers->items[i].value;
            text = azfn_span_is_present(text) ? join(invocation, text, separator_of(name), value) : value;
        }
    }
    return text;
}

struct azfn_span azfn_http_header(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = http_of(handle);
    return invocation ? header_of(invocation, azfn_span_of(name)) : azfn__absent();
}

struct azfn_span azfn_http_method(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = http_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return is_enveloped(invocation) ? azfn__envelope_string(invocation->envelope.method, &invocation->arena)
                                    : invocation->request.method_name;
}

struct azfn_span azfn_http_path(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = http_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    if (!is_enveloped(invocation)) {
        return invocation->request.path;
    }
    return azfn__envelope_path_of(azfn__envelope_string(invocation->envelope.url, &invocation->arena));
}

/* What the host puts into the envelope as base64; everything else it decodes as UTF-8. */
static bool is_base64_body(struct azfn__invocation *invocation)
{
    struct azfn_span type = header_of(invocation, AZFN__SPAN("Content-Type"));
    size_t length = 0;
    while (length < type.length && type.data[length] != ';') {
        length++;
    }
    struct azfn_span media_type = azfn__span_trim(azfn__span(type.data, length));
    struct azfn_span multipart = AZFN__SPAN("multipart/");
    return azfn__span_equal_ignore_case(media_type, AZFN__SPAN("application/octet-stream")) ||
           (media_type.length >= multipart.length &&
            azfn__span_equal_ignore_case(azfn__span(media_type.data, multipart.length), multipart));
}

struct azfn_span azfn_http_body(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = http_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    if (!is_enveloped(invocation)) {
        return azfn_span_is_present(invocation->request.body) ? invocation->request.body : azfn__span("", 0);
    }
    if (!azfn_span_is_present(invocation->body)) {
        struct azfn_span text = azfn__envelope_string(invocation->envelope.body, &invocation->arena);
        struct azfn_span bytes =
            is_base64_body(invocation) ? azfn__envelope_base64(text, &invocation->arena) : azfn__absent();
        invocation->body = azfn_span_is_present(bytes) ? bytes
                           : azfn_span_is_present(text) ? text
                                                        : azfn__span("", 0);
    }
    return invocation->body;
}

struct azfn_span azfn_http_body_json(struct azfn_invocation *handle)
{
    struct azfn_span body = azfn_http_body(handle);
    struct azfn_span json = azfn_json_checked(body);
    if (body.length > 0 && !azfn_span_is_present(json)) {
        azfn__invocation_tell_no_json(azfn__invocation_of(handle), body);
    }
    return json;
}

bool azfn_http_body_is_exact(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = http_of(handle);
    if (!invocation) {
        return false;
    }
    if (!is_enveloped(invocation)) {
        return true;
    }
    if (azfn_span_is_present(invocation->envelope.body)) {
        return is_base64_body(invocation);
    }
    return !azfn_span_is_present(header_of(invocation, AZFN__SPAN("Transfer-Encoding")));
}
