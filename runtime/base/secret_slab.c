#include "base/secret_slab.h"

#include "base/span.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_SLAB_BYTES ((size_t)1 << 30)
#define HEADER_BYTES ((size_t)32)

enum { SMALL, MEDIUM, LARGE, CLASS_COUNT };

/* A slot, with its bytes behind it. The kernel's zero pages are valid slots that were never used. */
struct azfn__secret {
    struct azfn__secret *next; /* in the list of free ones */
    struct azfn__secret_slab *slab;
    uint32_t capacity; /* as asked for: what may have been written, and so has to be wiped */
    uint32_t length;
    uint8_t class_index;
    bool is_used;
    char padding[6];
    char bytes[];
};
_Static_assert(sizeof(struct azfn__secret) == HEADER_BYTES, "a slot has no holes");
_Static_assert(((AZFN__SECRET_SMALL_BYTES + HEADER_BYTES) & (AZFN__SECRET_SMALL_BYTES + HEADER_BYTES - 1)) == 0 &&
                   (AZFN__SECRET_MEDIUM_BYTES + HEADER_BYTES) % 4096 == 0 &&
                   (AZFN__SECRET_LARGE_BYTES + HEADER_BYTES) % 4096 == 0,
               "slots fill pages");

static const size_t SLOT_BYTES[CLASS_COUNT] = {AZFN__SECRET_SMALL_BYTES + HEADER_BYTES,
                                               AZFN__SECRET_MEDIUM_BYTES + HEADER_BYTES,
                                               AZFN__SECRET_LARGE_BYTES + HEADER_BYTES};

/* Slots are used in the order of their addresses, and used ones again first: pages that are never needed are never
 * touched, and so take no memory. */
struct slot_class {
    char *slots;
    size_t count;
    size_t touched_count;
    struct azfn__secret *free;
};

struct azfn__secret_slab {
    char *mapping; /* with a page without access on both sides */
    size_t mapping_bytes;
    size_t page_bytes;
    size_t unlocked_bytes;
    size_t used_count;
    struct slot_class classes[CLASS_COUNT];
};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Only what is touched becomes resident, where the kernel knows how. */
static bool lock(void *address, size_t bytes)
{
    return bytes == 0 || mlock2(address, bytes, MLOCK_ONFAULT) == 0 ||
           ((errno == ENOSYS || errno == EINVAL) && mlock(address, bytes) == 0);
}

/* How many bytes from start are locked: as many as the limit allows, of which others may have used some. */
static size_t lock_prefix(char *start, size_t bytes, size_t page_bytes)
{
    struct rlimit limit;
    if (lock(start, bytes)) {
        return bytes;
    }
    size_t low = 0;
    size_t high = bytes / page_bytes; /* too many */
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur / page_bytes < high) {
        high = (size_t)(limit.rlim_cur / page_bytes) + 1;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (lock(start, middle * page_bytes)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low * page_bytes;
}

static enum azfn_error map_slots(struct azfn__secret_slab *slab, size_t bytes)
{
    slab->mapping_bytes = bytes + 2 * slab->page_bytes;
    slab->mapping = mmap(NULL, slab->mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab->mapping == MAP_FAILED) {
        return errno == ENOMEM ? AZFN_ERROR_NO_MEMORY : AZFN_ERROR_SYSTEM;
    }
    char *slots = slab->mapping + slab->page_bytes;
    if (mprotect(slots, bytes, PROT_READ | PROT_WRITE) != 0 || madvise(slots, bytes, MADV_DONTDUMP) != 0 ||
        madvise(slots, bytes, MADV_DONTFORK) != 0) {
        int reason = errno;
        munmap(slab->mapping, slab->mapping_bytes);
        errno = reason;
        return AZFN_ERROR_SYSTEM;
    }
    slab->unlocked_bytes = bytes - lock_prefix(slots, bytes, slab->page_bytes);
    return AZFN_OK;
}

enum azfn_error azfn__secret_slab_new(const struct azfn__secret_slab_options *options,
                                      struct azfn__secret_slab **out_slab)
{
    const size_t counts[CLASS_COUNT] = {options->small_count, options->medium_count, options->large_count};
    size_t class_bytes[CLASS_COUNT];
    *out_slab = NULL;
    struct azfn__secret_slab *slab = calloc(1, sizeof(*slab));
    if (!slab) {
        return AZFN_ERROR_NO_MEMORY;
    }
    slab->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = 0;
    enum azfn_error error = AZFN_OK;
    for (int i = 0; i < CLASS_COUNT; i++) {
        if (counts[i] > MAX_SLAB_BYTES / SLOT_BYTES[i]) {
            free(slab);
            return AZFN_ERROR_NO_MEMORY;
        }
        class_bytes[i] = round_up(counts[i] * SLOT_BYTES[i], slab->page_bytes);
        bytes += class_bytes[i];
    }
    error = map_slots(slab, bytes > 0 ? bytes : slab->page_bytes);
    if (error != AZFN_OK) {
        free(slab);
        return error;
    }
    char *slots = slab->mapping + slab->page_bytes;
    for (int i = 0; i < CLASS_COUNT; i++) {
        slab->classes[i] = (struct slot_class){.slots = slots, .count = counts[i]};
        slots += class_bytes[i];
    }
    *out_slab = slab;
    return AZFN_OK;
}

static struct azfn__secret *slot_at(const struct azfn__secret_slab *slab, int class_index, size_t index)
{
    void *slot = slab->classes[class_index].slots + index * SLOT_BYTES[class_index];
    return slot;
}

void azfn__secret_slab_destroy(struct azfn__secret_slab *slab)
{
    if (!slab) {
        return;
    }
    for (int i = 0; i < CLASS_COUNT; i++) {
        for (size_t k = 0; k < slab->classes[i].touched_count; k++) {
            azfn__secret_release(slot_at(slab, i, k));
        }
    }
    munmap(slab->mapping, slab->mapping_bytes);
    free(slab);
}

size_t azfn__secret_slab_unlocked_bytes(const struct azfn__secret_slab *slab)
{
    return slab->unlocked_bytes;
}

size_t azfn__secret_slab_used_count(const struct azfn__secret_slab *slab)
{
    return slab->used_count;
}

/* NULL: none of this class is free. */
static struct azfn__secret *take_slot(struct azfn__secret_slab *slab, int class_index)
{
    struct slot_class *class = &slab->classes[class_index];
    struct azfn__secret *secret = class->free;
    if (secret) {
        class->free = secret->next;
    } else if (class->touched_count < class->count) {
        secret = slot_at(slab, class_index, class->touched_count++);
        secret->slab = slab;
        secret->class_index = (uint8_t)class_index;
    }
    return secret;
}

struct azfn__secret *azfn__secret_new_empty(struct azfn__secret_slab *slab, size_t capacity)
{
    struct azfn__secret *secret = NULL;
    for (int i = 0; i < CLASS_COUNT && !secret; i++) {
        secret = capacity <= SLOT_BYTES[i] - HEADER_BYTES ? take_slot(slab, i) : NULL;
    }
    if (secret) {
        secret->next = NULL;
        secret->capacity = (uint32_t)capacity;
        secret->length = (uint32_t)capacity;
        secret->is_used = true;
        slab->used_count++;
    }
    return secret;
}

struct azfn__secret *azfn__secret_new(struct azfn__secret_slab *slab, struct azfn_span value)
{
    struct azfn__secret *secret = azfn__secret_new_empty(slab, value.length);
    if (secret && value.length > 0) {
        memcpy(secret->bytes, value.data, value.length);
    }
    return secret;
}

char *azfn__secret_bytes(struct azfn__secret *secret)
{
    return secret->bytes;
}

void azfn__secret_set_length(struct azfn__secret *secret, size_t length)
{
    secret->length = length < secret->capacity ? (uint32_t)length : secret->capacity;
}

void azfn__secret_release(struct azfn__secret *secret)
{
    /* given back twice, it must not be given out twice */
    if (!secret || !secret->is_used) {
        return;
    }
    struct slot_class *class = &secret->slab->classes[secret->class_index];
    sodium_memzero(secret->bytes, secret->capacity);
    secret->capacity = 0;
    secret->length = 0;
    secret->is_used = false;
    secret->slab->used_count--;
    secret->next = class->free;
    class->free = secret;
}

struct azfn_span azfn__secret_reveal(const struct azfn__secret *secret)
{
    return azfn__span(secret->bytes, secret->length);
}
