#include "config/config_blob.h"

#include "base/span.h"

#include <stdlib.h>

struct blob_header {
    char magic[8];
    uint64_t blob_bytes;
    uint64_t file_count;
};

struct file_header {
    uint32_t path_bytes;
    uint32_t text_bytes;
};

static const char MAGIC[8] = {'a', 'z', 'f', 'n', 'c', 'f', 'g', '1'};

void azfn__config_blob_begin(struct azfn__buffer *blob)
{
    struct blob_header header = {.blob_bytes = sizeof(header)};
    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    azfn__buffer_append(blob, &header, sizeof(header));
}

size_t azfn__config_blob_begin_file(struct azfn__buffer *blob, struct azfn_span path)
{
    const struct file_header header = {.path_bytes = (uint32_t)path.length};
    size_t begin = blob->length;
    azfn__buffer_append(blob, &header, sizeof(header));
    azfn__buffer_append_span(blob, path);
    return begin;
}

void azfn__config_blob_end_file(struct azfn__buffer *blob, size_t begin)
{
    struct file_header file;
    struct blob_header header;
    if (blob->has_failed) {
        return;
    }
    memcpy(&file, blob->data + begin, sizeof(file));
    file.text_bytes = (uint32_t)(blob->length - begin - sizeof(file) - file.path_bytes);
    memcpy(blob->data + begin, &file, sizeof(file));
    memcpy(&header, blob->data, sizeof(header));
    header.file_count++;
    header.blob_bytes = blob->length;
    memcpy(blob->data, &header, sizeof(header));
}

static bool take(struct azfn_span *rest, size_t length, struct azfn_span *out_piece)
{
    if (length > rest->length) {
        return false;
    }
    *out_piece = azfn__span(rest->data, length);
    *rest = azfn__span_from(*rest, length);
    return true;
}

static bool take_file(struct azfn_span *rest, struct azfn__config_file *out_file)
{
    struct azfn_span piece;
    struct file_header header;
    if (!take(rest, sizeof(header), &piece)) {
        return false;
    }
    memcpy(&header, piece.data, sizeof(header));
    return header.path_bytes > 0 && header.path_bytes <= AZFN__CONFIG_BLOB_MAX_PATH_BYTES &&
           header.text_bytes <= AZFN__CONFIG_FILE_MAX_BYTES && take(rest, header.path_bytes, &out_file->path) &&
           take(rest, header.text_bytes, &out_file->text);
}

enum azfn_error azfn__config_blob_find(struct azfn_span blob, struct azfn__config_file **out_files, size_t *out_count)
{
    struct azfn_span rest = blob;
    struct azfn_span piece;
    struct blob_header header;
    *out_files = NULL;
    *out_count = 0;
    if (!take(&rest, sizeof(header), &piece)) {
        return AZFN_ERROR_SYNTAX;
    }
    memcpy(&header, piece.data, sizeof(header));
    if (memcmp(header.magic, MAGIC, sizeof(MAGIC)) != 0 || header.blob_bytes != blob.length ||
        header.file_count > AZFN__CONFIG_BLOB_MAX_FILES) {
        return AZFN_ERROR_SYNTAX;
    }
    struct azfn__config_file *files = calloc((size_t)header.file_count + 1, sizeof(*files));
    *out_files = files;
    if (!files) {
        return AZFN_ERROR_NO_MEMORY;
    }
    for (size_t i = 0; i < header.file_count; i++) {
        if (!take_file(&rest, &files[i])) {
            return AZFN_ERROR_SYNTAX;
        }
    }
    *out_count = (size_t)header.file_count;
    return rest.length == 0 ? AZFN_OK : AZFN_ERROR_SYNTAX;
}
