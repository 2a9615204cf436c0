#include "config/file_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum azfn_error azfn__file_text_refuse_errno(char out_fault[AZFN__FILE_TEXT_FAULT_BYTES])
{
    (void)snprintf(out_fault, AZFN__FILE_TEXT_FAULT_BYTES, "expected a file that can be read: %s", strerror(errno));
    return AZFN_ERROR_SYSTEM;
}

enum azfn_error azfn__file_text_append(int fd, size_t max_bytes, struct azfn__buffer *out,
                                       char out_fault[AZFN__FILE_TEXT_FAULT_BYTES])
{
    struct stat status;
    size_t total = 0;
    if (fstat(fd, &status) != 0) {
        return azfn__file_text_refuse_errno(out_fault);
    }
    if (!S_ISREG(status.st_mode)) {
        (void)snprintf(out_fault, AZFN__FILE_TEXT_FAULT_BYTES, "expected a regular file, found something else");
        return AZFN_ERROR_SYSTEM;
    }
    for (;;) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0 || out->has_failed) {
            return AZFN_OK;
        }
        if (got < 0 && errno != EINTR) {
            return azfn__file_text_refuse_errno(out_fault);
        }
        size_t length = got > 0 ? (size_t)got : 0;
        total += length;
        if (total > max_bytes) {
            (void)snprintf(out_fault, AZFN__FILE_TEXT_FAULT_BYTES, "expected at most %zu MiB, found more",
                           max_bytes >> 20);
            return AZFN_ERROR_LIMIT;
        }
        azfn__buffer_append(out, chunk, length);
    }
}
