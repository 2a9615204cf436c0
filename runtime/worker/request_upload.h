/* worker/request_upload.h
 * The body of a request to a destination on its way to the broker, in pieces, as far as the broker gives credit. */
#ifndef AZFN_WORKER_REQUEST_UPLOAD_H
#define AZFN_WORKER_REQUEST_UPLOAD_H

#include "base/buffer.h"
#include "worker/frame_writer.h"

#include <azfn.h>

struct azfn__request_upload {
    struct azfn__buffer bytes; /* what is still to be sent */
    size_t credit_bytes;       /* that may be sent now */
    uint64_t missing_bytes;    /* of a length that was said; UINT64_MAX: none was */
    bool is_whole;             /* bytes holds all that is left */
    bool is_sent;
};

/* Of options, of which the body is copied. AZFN_ERROR_INVALID_ARGUMENT: its length is not what it says;
 * AZFN_ERROR_LIMIT: it is too long, or there is no memory. */
enum azfn_error azfn__request_upload_init(struct azfn__request_upload *upload,
                                          const struct azfn_request_options *options);
/* Wipes what was not sent. */
void azfn__request_upload_clean_up(struct azfn__request_upload *upload);

/* What the broker is told beforehand: 0 for none, AZFN__ASK_UNKNOWN_BYTES. */
uint64_t azfn__request_upload_length(const struct azfn_request_options *options);

/* As azfn_request_write() and azfn_request_end() say. */
enum azfn_error azfn__request_upload_write(struct azfn__request_upload *upload, struct azfn_span bytes);
enum azfn_error azfn__request_upload_end(struct azfn__request_upload *upload);
bool azfn__request_upload_is_writable(const struct azfn__request_upload *upload);

/* Sends as much as there is credit for. */
void azfn__request_upload_pump(struct azfn__request_upload *upload, struct azfn__frame_writer *writer, uint32_t id);

#endif
