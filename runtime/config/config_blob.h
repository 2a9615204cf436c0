/* config/config_blob.h
 * The form in which the files of a configuration go from the broker to a worker: a header, then for each file its
 * lengths, its path and its text. Pure. */
#ifndef AZFN_CONFIG_CONFIG_BLOB_H
#define AZFN_CONFIG_CONFIG_BLOB_H

#include "base/buffer.h"
#include "config/config_files.h"

#define AZFN__CONFIG_BLOB_MAX_FILES (AZFN__CONFIG_MAX_FUNCTIONS + 4)
#define AZFN__CONFIG_BLOB_MAX_PATH_BYTES 300
/* Of all files, and what headers and paths add at most. */
#define AZFN__CONFIG_BLOB_MAX_BYTES (AZFN__CONFIG_FILES_MAX_BYTES + AZFN__CONFIG_BLOB_MAX_FILES * (size_t)512)

/* One without files. Appending: has_failed of the buffer says whether it has room and memory. */
void azfn__config_blob_begin(struct azfn__buffer *blob);
/* Returns what azfn__config_blob_end_file() wants; in between the file's text is appended. */
size_t azfn__config_blob_begin_file(struct azfn__buffer *blob, struct azfn_span path);
void azfn__config_blob_end_file(struct azfn__buffer *blob, size_t begin);

/* The files in blob, which may hold anything; their spans point into it. To be freed with free(), also after an error.
 * Errors: AZFN_ERROR_SYNTAX, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__config_blob_find(struct azfn_span blob, struct azfn__config_file **out_files,
                                                     size_t *out_count);

#endif
