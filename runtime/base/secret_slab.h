/* base/secret_slab.h
 * Memory for secrets and tokens: locked, left out of core dumps and of children, mapped once at start and cut into
 * slots, so that a secret costs no system call. A slot is wiped when it is given back. One thread.
 * A value has no name that a formatter could print: azfn__secret_reveal() is where it gets out. */
#ifndef AZFN_BASE_SECRET_SLAB_H
#define AZFN_BASE_SECRET_SLAB_H

#include <azfn.h>

/* What a slot of each size holds. Key Vault's values have 25 KiB at the most. */
#define AZFN__SECRET_SMALL_BYTES ((size_t)224)
#define AZFN__SECRET_MEDIUM_BYTES ((size_t)4064)
#define AZFN__SECRET_LARGE_BYTES ((size_t)32736)

struct azfn__secret_slab;
struct azfn__secret; /* a slot in use */

struct azfn__secret_slab_options {
    size_t small_count;
    size_t medium_count;
    size_t large_count;
};

/* Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM with errno. That not all could be locked is no error: see below. */
AZFN_MUST_USE enum azfn_error azfn__secret_slab_new(const struct azfn__secret_slab_options *options,
                                                    struct azfn__secret_slab **out_slab);
/* Wipes and unmaps; NULL is fine. */
void azfn__secret_slab_destroy(struct azfn__secret_slab *slab);

/* What RLIMIT_MEMLOCK did not allow to lock: the last slots, which are given out last. For an event at start. */
size_t azfn__secret_slab_unlocked_bytes(const struct azfn__secret_slab *slab);
size_t azfn__secret_slab_used_count(const struct azfn__secret_slab *slab);

/* A copy of value. NULL: it is longer than AZFN__SECRET_LARGE_BYTES, or all slots that could hold it are in use. */
AZFN_MUST_USE struct azfn__secret *azfn__secret_new(struct azfn__secret_slab *slab, struct azfn_span value);
/* The same with capacity zero bytes, for one that is put together in its place: write there, then cut it. */
AZFN_MUST_USE struct azfn__secret *azfn__secret_new_empty(struct azfn__secret_slab *slab, size_t capacity);
char *azfn__secret_bytes(struct azfn__secret *secret);
void azfn__secret_set_length(struct azfn__secret *secret, size_t length);
/* Wipes it and gives its slot back; NULL is fine. */
void azfn__secret_release(struct azfn__secret *secret);

struct azfn_span azfn__secret_reveal(const struct azfn__secret *secret);

#endif
