/* config/file_text.h
 * The text of a file of the configuration. */
#ifndef AZFN_CONFIG_FILE_TEXT_H
#define AZFN_CONFIG_FILE_TEXT_H

#include "base/buffer.h"

#define AZFN__FILE_TEXT_FAULT_BYTES 128

/* Appends all of fd, a regular file of at most max_bytes. Errors: AZFN_ERROR_SYSTEM, AZFN_ERROR_LIMIT, with out_fault as
 * "expected ..., found ..."; whether out had room is its has_failed. */
AZFN_MUST_USE enum azfn_error azfn__file_text_append(int fd, size_t max_bytes, struct azfn__buffer *out,
                                                     char out_fault[AZFN__FILE_TEXT_FAULT_BYTES]);
/* The fault of a file that could not be opened or read, by errno: AZFN_ERROR_SYSTEM. */
enum azfn_error azfn__file_text_refuse_errno(char out_fault[AZFN__FILE_TEXT_FAULT_BYTES]);

#endif
