/* Reading all of one's own memory without a file of /proc and without a fault. */
#include "attack.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PAGE ((uintptr_t)4096)
#define NEAR ((uintptr_t)192 << 20)
#define FAR ((uintptr_t)16 << 20)

/* The kernel copies the event before it looks at the descriptors: EFAULT tells what can't be read. */
static bool is_readable(uintptr_t page)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): addresses are what this is about */
    struct epoll_event *event = (struct epoll_event *)page;
    return epoll_ctl(-1, EPOLL_CTL_ADD, -1, event) < 0 && errno != EFAULT;
}

__attribute__((no_sanitize("address", "undefined"))) static char *search_page(uintptr_t page,
    const unsigned char *needle,
                                                                               size_t length)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    char *bytes = (char *)page;
    for (size_t i = 0; i + length <= PAGE; i++) {
        size_t matched = 0;
        while (matched < length && ((unsigned char)bytes[i + matched] ^ ATTACK_MASK) == needle[matched]) {
            matched++;
        }
        if (matched == length) {
            return bytes + i;
        }
    }
    return NULL;
}

static char *search_around(const void *known, uintptr_t below, uintptr_t above, const unsigned char *needle,
                           size_t length)
{
    uintptr_t middle = (uintptr_t)known & ~(PAGE - 1);
    for (uintptr_t page = middle > below ? middle - below : PAGE; page < middle + above; page += PAGE) {
        char *found = is_readable(page) ? search_page(page, needle, length) : NULL;
        if (found) {
            return found;
        }
    }
    return NULL;
}

char *attack_search_memory(const unsigned char *needle, size_t length)
{
    int on_stack = 0;
    char *in_heap = malloc(16);
    /* what the program mapped lies around its libraries, what it allocated in the heap around any other allocation */
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): a function's address */
    const void *const known[] = {in_heap, (const void *)(uintptr_t)&malloc, &environ, &on_stack};
    char *found = NULL;
    for (size_t i = 0; !found && i < sizeof(known) / sizeof(known[0]); i++) {
        found = search_around(known[i], i == 1 ? NEAR : FAR, FAR, needle, length);
    }
    free(in_heap);
    return found;
}
