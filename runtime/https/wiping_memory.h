/* https/wiping_memory.h
 * Memory that is wiped when it is freed or outgrown: the module's own, and what libcurl and OpenSSL allocate,
 * whose buffers see tokens, secrets and keys. Any thread: libcurl's resolver has its own. */
#ifndef AZFN_HTTPS_WIPING_MEMORY_H
#define AZFN_HTTPS_WIPING_MEMORY_H

#include <azfn.h>

void *azfn__https_malloc(size_t size);
void *azfn__https_calloc(size_t count, size_t size);
void *azfn__https_realloc(void *memory, size_t size);
void azfn__https_free(void *memory);
/* NUL-terminated. NULL: no memory. */
char *azfn__https_copy(struct azfn_span span);

/* How often there was none left. libcurl also says "out of memory" for what is too long for it. */
unsigned azfn__https_memory_failures(void);

/* Once in a process, before anything else uses OpenSSL or libcurl: gives both these functions, and starts them without
 * their configuration files. False: *out_reason is static text. */
bool azfn__https_memory_install(const char **out_reason);

#endif
