/* worker/http_chunk_guard.h
 * What is checked of a chunked body's framing (sizes, extensions, line ends, trailers) before llhttp sees it:
 * bare LF and CR, blanks around a size, control characters, folded trailers, and how much of it there is.
 * Pure. */
#ifndef AZFN_WORKER_HTTP_CHUNK_GUARD_H
#define AZFN_WORKER_HTTP_CHUNK_GUARD_H

#include "worker/http_fault.h"

enum azfn__http_chunk_place {
    AZFN__HTTP_CHUNK_SIZE,
    AZFN__HTTP_CHUNK_EXTENSION,
    AZFN__HTTP_CHUNK_DATA, /* data_left bytes, which are not the guard's business */
    AZFN__HTTP_CHUNK_DATA_END,
    AZFN__HTTP_CHUNK_TRAILER,
};

struct azfn__http_chunk_guard {
    enum azfn__http_chunk_place place;
    bool is_after_cr;
    bool is_inside_line;
    uint32_t max_extension_bytes;
    uint32_t max_trailer_bytes;
    uint32_t extension_bytes; /* with the semicolons */
    uint32_t trailer_bytes;   /* with the line ends, without the empty line */
    uint64_t data_left;
    uint64_t framing_bytes;   /* sizes and line ends */
    uint64_t body_bytes;
};

/* How many of the bytes may be passed on: to the end of the line, of the bytes, or to the first bad one, and
 * then *out_fault is set. Not called while the place is DATA. */
size_t azfn__http_chunk_guard_scan(struct azfn__http_chunk_guard *guard, const char *data, size_t length,
                                   struct azfn__http_fault *out_fault);

/* A size line is over: chunk_bytes of data follow, or, when there are none, the trailers. */
void azfn__http_chunk_guard_begin_chunk(struct azfn__http_chunk_guard *guard, uint64_t chunk_bytes);
/* So many bytes of data went by. */
void azfn__http_chunk_guard_take_data(struct azfn__http_chunk_guard *guard, size_t length);

#endif
