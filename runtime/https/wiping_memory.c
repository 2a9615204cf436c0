#include "https/wiping_memory.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint failures;

static void *checked(void *memory)
{
    if (!memory) {
        atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
    }
    return memory;
}

unsigned azfn__https_memory_failures(void)
{
    return atomic_load_explicit(&failures, memory_order_relaxed);
}

static void wipe(void *memory, size_t size)
{
#ifdef AZFN__HTTPS_WITHOUT_WIPING /* a test shows that it would see it */
    (void)memory;
    (void)size;
#else
    explicit_bzero(memory, size);
#endif
}

void *azfn__https_malloc(size_t size)
{
    return checked(malloc(size > 0 ? size : 1));
}

void *azfn__https_calloc(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void azfn__https_free(void *memory)
{
    if (memory) {
        wipe(memory, malloc_usable_size(memory));
        free(memory);
    }
}

void *azfn__https_realloc(void *memory, size_t size)
{
    if (!memory) {
        return azfn__https_malloc(size);
    }
    size_t usable = malloc_usable_size(memory);
    if (size > 0 && size <= usable && size >= usable / 2) {
        return memory;
    }
    /* not realloc: it would leave the old bytes behind, unwiped */
    void *moved = azfn__https_malloc(size);
    if (moved) {
        memcpy(moved, memory, size < usable ? size : usable);
        azfn__https_free(memory);
    }
    return moved;
}

char *azfn__https_copy(struct azfn_span span)
{
    char *copy = azfn__https_malloc(span.length + 1);
    if (copy) {
        if (span.length > 0) {
            memcpy(copy, span.data, span.length);
        }
        copy[span.length] = '\0';
    }
    return copy;
}

static char *duplicate(const char *text)
{
    return azfn__https_copy((struct azfn_span){.data = text, .length = strlen(text)});
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return azfn__https_malloc(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return azfn__https_realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    azfn__https_free(memory);
}

static bool install(const char **out_reason)
{
    *out_reason = "OpenSSL was in use before its memory could be wiped";
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
        return false;
    }
    /* openssl.cnf and what it names (engines, providers) are files that nobody has vouched for */
    *out_reason = "OpenSSL did not start";
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        return false;
    }
    /* with it libcurl would write the keys of each connection into a file */
    unsetenv("SSLKEYLOGFILE");
    *out_reason = "libcurl did not start";
    return curl_global_init_mem(CURL_GLOBAL_ALL, azfn__https_malloc, azfn__https_free, azfn__https_realloc,
                                duplicate, azfn__https_calloc) == CURLE_OK;
}

bool azfn__https_memory_install(const char **out_reason)
{
    static bool is_tried;
    static bool is_installed;
    static const char *reason;
    if (!is_tried) {
        is_tried = true;
        is_installed = install(&reason);
    }
    *out_reason = reason;
    return is_installed;
}
