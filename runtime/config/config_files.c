#include "config/config_files.h"

#include "base/buffer.h"
#include "base/memory_file.h"
#include "base/span.h"
#include "config/app_folder.h"
#include "config/config_blob.h"
#include "config/config_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW 0x0004
#define F_SEAL_WRITE 0x0008
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SEALED_MAX_BYTES (AZFN__CONFIG_BLOB_MAX_BYTES + AZFN__CONFIG_FILE_MAX_BYTES)

/* Nothing where it is empty. */
static void append_text(struct azfn__buffer *blob, struct azfn_span path, struct azfn_span text)
{
    if (text.length > 0) {
        size_t begin = azfn__config_blob_begin_file(blob, path);
        azfn__buffer_append_span(blob, text);
        azfn__config_blob_end_file(blob, begin);
    }
}

static enum azfn_error find(struct azfn__config_files *files)
{
    enum azfn_error error =
        azfn__config_blob_find(azfn__span(files->blob, files->blob_bytes), &files->files, &files->file_count);
    if (error != AZFN_OK) {
        azfn__config_files_clean_up(files);
    }
    return error;
}

enum azfn_error azfn__config_files_read(struct azfn__config_files *files, const char *root,
                                        struct azfn_span environment,
                                        struct azfn__config_fault *out_fault)
{
    struct azfn__buffer blob;
    *files = (struct azfn__config_files){0};
    out_fault->message[0] = '\0';
    azfn__buffer_init(&blob, AZFN__CONFIG_BLOB_MAX_BYTES);
    azfn__config_blob_begin(&blob);
    enum azfn_error error = azfn__app_folder_read(root, &blob, out_fault);
    append_text(&blob, AZFN__SPAN(AZFN__CONFIG_ENVIRONMENT), environment);
    if (error == AZFN_OK && blob.has_failed) {
        char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
        azfn__config_say(out_fault, "%s: expected at most 32 MiB in all files, found more",
                         azfn__config_shown(shown, sizeof(shown), azfn_span_of(root)));
        error = AZFN_ERROR_LIMIT;
    }
    if (error != AZFN_OK) {
        azfn__buffer_clean_up(&blob);
        return error;
    }
    /* it is the buffer's memory from here on */
    files->blob = blob.data;
    files->blob_bytes = blob.length;
    return find(files);
}

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, data, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        data += written;
        length -= (size_t)written;
    }
    return true;
}

int azfn__config_files_seal(const struct azfn__config_files *files, struct azfn_span settings)
{
    if (settings.length > AZFN__CONFIG_FILE_MAX_BYTES) {
        errno = EFBIG;
        return -1;
    }
    struct azfn__buffer blob;
    azfn__buffer_init(&blob, SEALED_MAX_BYTES);
    azfn__buffer_append(&blob, files->blob, files->blob_bytes);
    append_text(&blob, AZFN__SPAN(AZFN__CONFIG_SETTINGS), settings);
    errno = ENOMEM;
    int fd = blob.has_failed ? -1 : azfn__memory_file_create("azfn-config");
    if (fd >= 0 && (!write_all(fd, blob.data, blob.length) || fcntl(fd, F_ADD_SEALS, SEALS) != 0)) {
        int reason = errno;
        close(fd);
        errno = reason;
        fd = -1;
    }
    int reason = errno;
    azfn__buffer_clean_up(&blob);
    errno = reason;
    return fd;
}

enum azfn_error azfn__config_files_map(struct azfn__config_files *files, int fd)
{
    struct stat status;
    *files = (struct azfn__config_files){0};
    /* without the seals another process could change the bytes while they are checked */
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &status) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    if ((seals & SEALS) != SEALS || status.st_size <= 0 || status.st_size > (off_t)SEALED_MAX_BYTES) {
        return AZFN_ERROR_SYNTAX;
    }
    size_t length = (size_t)status.st_size;
    void *mapping = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
        return AZFN_ERROR_SYSTEM;
    }
    files->blob = mapping;
    files->blob_bytes = length;
    files->is_mapped = true;
    return find(files);
}

void azfn__config_files_clean_up(struct azfn__config_files *files)
{
    free(files->files);
    if (files->is_mapped) {
        munmap(files->blob, files->blob_bytes);
    } else {
        free(files->blob);
    }
    *files = (struct azfn__config_files){0};
}
