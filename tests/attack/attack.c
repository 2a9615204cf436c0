#include "attack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct attack_group *const groups[] = {&attack_secrets, &attack_files, &attack_network, &attack_processes,
                                                    &attack_channel};
#define GROUP_COUNT (sizeof(groups) / sizeof(groups[0]))

static const char *const layer_names[] = {
    "seccomp", "landlock_files", "landlock_network", "landlock_scope", "limits", "environment", "users", "unprivileged",
    "undumpable", "keeping", "policy", "channel", "log", "watch", "host_mode"};
static const char *const flag_names[] = {"needs_root", "needs_broker", "needs_azfn", "ends_worker", "seen_outside",
                                         "is_possible", "kills_target", "needs_32_bit"};
static const char *const outcome_names[] = {"succeeded", "refused", "nothing", "not_here"};

static const char *find_value(const struct attack_target *target, const char *name, size_t *out_length)
{
    size_t name_length = strlen(name);
    const char *at = target->text;
    while (*at) {
        size_t length = strcspn(at, ";");
        if (length > name_length && strncmp(at, name, name_length) == 0 && at[name_length] == '=') {
            *out_length = length - name_length - 1;
            return at + name_length + 1;
        }
        at += length + (at[length] == ';');
    }
    return NULL;
}

long attack_number(const struct attack_target *target, const char *name)
{
    size_t length;
    const char *value = find_value(target, name, &length);
    return value ? strtol(value, NULL, 10) : 0;
}

const char *attack_text(const struct attack_target *target, const char *name)
{
    size_t length;
    const char *value = find_value(target, name, &length);
    char *copy = value ? malloc(length + 1) : NULL;
    if (!copy) {
        return "";
    }
    memcpy(copy, value, length);
    copy[length] = '\0';
    return copy;
}

const struct attack_step *attack_find(const char *name, size_t length)
{
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        for (size_t i = 0; i < groups[g]->count; i++) {
            const struct attack_step *step = &groups[g]->steps[i];
            if (strlen(step->name) == length && memcmp(step->name, name, length) == 0) {
                return step;
            }
        }
    }
    return NULL;
}

static void print_set(const char *member, unsigned bits, const char *const *names, size_t count)
{
    const char *separator = "";
    printf(",\"%s\":[", member);
    for (size_t i = 0; i < count; i++) {
        if (bits & 1U << i) {
            printf("%s\"%s\"", separator, names[i]);
            separator = ",";
        }
    }
    printf("]");
}

void attack_print_table(void)
{
    for (size_t g = 0; g < GROUP_COUNT; g++) {
        for (size_t i = 0; i < groups[g]->count; i++) {
            const struct attack_step *step = &groups[g]->steps[i];
            printf("{\"group\":\"%s\",\"title\":\"%s\",\"name\":\"%s\",\"wants\":\"%s\",\"call\":\"%s\","
                   "\"event\":\"%s\"",
                   groups[g]->name, groups[g]->title, step->name, step->wants, step->call ? step->call : "",
                   step->event ? step->event : "");
            print_set("stopped_by", step->stopped_by, layer_names, sizeof(layer_names) / sizeof(layer_names[0]));
            print_set("flags", step->flags, flag_names, sizeof(flag_names) / sizeof(flag_names[0]));
            printf("}\n");
        }
    }
}

void attack_describe(const struct attack_result *result, char *out, size_t capacity)
{
    (void)snprintf(out, capacity, "{\"outcome\":\"%s\",\"errno\":\"%s\",\"call\":\"%s\",\"detail\":\"%s\"}\n",
                   outcome_names[result->outcome], result->error ? strerrorname_np(result->error) : "",
                   result->call ? result->call : "", result->detail);
}

static struct attack_result make_result(enum attack_outcome outcome, const char *detail)
{
    struct attack_result result = {.outcome = outcome};
    (void)snprintf(result.detail, sizeof(result.detail), "%s", detail);
    return result;
}

struct attack_result attack_succeeded(const char *detail)
{
    return make_result(ATTACK_SUCCEEDED, detail);
}

struct attack_result attack_nothing(const char *detail)
{
    return make_result(ATTACK_NOTHING, detail);
}

struct attack_result attack_not_here(const char *reason)
{
    return make_result(ATTACK_NOT_HERE, reason);
}

struct attack_result attack_refused(const char *call)
{
    struct attack_result result = {.outcome = ATTACK_REFUSED, .error = errno, .call = call};
    return result;
}

struct attack_result attack_judge(long result, const char *call, const char *detail)
{
    return result < 0 ? attack_refused(call) : attack_succeeded(detail);
}

static bool is_masked_at(const char *bytes, const unsigned char *needle, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)bytes[i] ^ ATTACK_MASK) != needle[i]) {
            return false;
        }
    }
    return true;
}

bool attack_has_canary(const char *bytes, size_t length)
{
    static const unsigned char word[] = {'c' ^ ATTACK_MASK, 'a' ^ ATTACK_MASK, 'n' ^ ATTACK_MASK, 'a' ^ ATTACK_MASK,
                                         'r' ^ ATTACK_MASK, 'y' ^ ATTACK_MASK, '-' ^ ATTACK_MASK};
    for (size_t i = 0; i + sizeof(word) <= length; i++) {
        if (is_masked_at(bytes + i, word, sizeof(word))) {
            return true;
        }
    }
    return false;
}

struct attack_result attack_read(const char *path, bool must_have_canary)
{
    static char bytes[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return attack_refused("openat");
    }
    ssize_t count = read(fd, bytes, sizeof(bytes));
    int error = errno;
    close(fd);
    errno = error;
    if (count < 0) {
        return attack_refused("read");
    }
    if (must_have_canary && !attack_has_canary(bytes, (size_t)count)) {
        return attack_nothing("no secret in it");
    }
    return count > 0 ? attack_succeeded("read") : attack_nothing("empty");
}

size_t attack_unhex(const char *text, unsigned char *out, size_t capacity)
{
    size_t length = 0;
    for (; length < capacity && text[0] && text[1]; text += 2) {
        const char digits[3] = {text[0], text[1], '\0'};
        out[length++] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return length;
}
