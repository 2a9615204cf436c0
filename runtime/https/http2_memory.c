/* https/http2_memory.c
 * libcurl lets nghttp2 take its memory from malloc(), and nghttp2 keeps copies of the headers that are sent. So the
 * module has a constructor of nghttp2's sessions of its own, which the dynamic linker finds before nghttp2's. */
#include "https/wiping_memory.h"

#include <nghttp2/nghttp2.h>

static void *http2_malloc(size_t size, void *user_data)
{
    (void)user_data;
    return azfn__https_malloc(size);
}

static void *http2_calloc(size_t count, size_t size, void *user_data)
{
    (void)user_data;
    return azfn__https_calloc(count, size);
}

static void *http2_realloc(void *memory, size_t size, void *user_data)
{
    (void)user_data;
    return azfn__https_realloc(memory, size);
}

static void http2_free(void *memory, void *user_data)
{
    (void)user_data;
    azfn__https_free(memory);
}

__attribute__((visibility("default"))) int nghttp2_session_client_new2(nghttp2_session **session_ptr,
                                                                       const nghttp2_session_callbacks *callbacks,
                                                                       void *user_data, const nghttp2_option *option)
{
    nghttp2_mem memory = {NULL, http2_malloc, http2_free, http2_calloc, http2_realloc};
    return nghttp2_session_client_new3(session_ptr, callbacks, user_data, option, &memory);
}

__attribute__((visibility("default"))) int nghttp2_session_client_new(nghttp2_session **session_ptr,
                                                                      const nghttp2_session_callbacks *callbacks,
                                                                      void *user_data)
{
    return nghttp2_session_client_new2(session_ptr, callbacks, user_data, NULL);
}
