#include "config/config_files.h"

#include "base/buffer.h"
#include "base/memory_file.h"
#include "base/span.h"
#include "config/config_fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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
#define FILE_NAME "function.json"
#define MAX_PATH_BYTES 300
#define MAX_FILES (AZFN__CONFIG_MAX_FUNCTIONS + 4)
/* What headers and paths add at most. */
#define BLOB_MAX_BYTES (AZFN__CONFIG_FILES_MAX_BYTES + sizeof(struct blob_header) + MAX_FILES * (size_t)512)
#define SEALED_MAX_BYTES (BLOB_MAX_BYTES + AZFN__CONFIG_FILE_MAX_BYTES)

/* The blob: this, then for each file its header, its path and its text. */
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
    return header.path_bytes > 0 && header.path_bytes <= MAX_PATH_BYTES &&
           header.text_bytes <= AZFN__CONFIG_FILE_MAX_BYTES && take(rest, header.path_bytes, &out_file->path) &&
           take(rest, header.text_bytes, &out_file->text);
}

/* Finds the files in files->blob, which may hold anything. */
static enum azfn_error find_files(struct azfn__config_files *files)
{
    struct azfn_span rest = azfn__span(files->blob, files->blob_bytes);
    struct azfn_span piece;
    struct blob_header header;
    if (!take(&rest, sizeof(header), &piece)) {
        return AZFN_ERROR_SYNTAX;
    }
    memcpy(&header, piece.data, sizeof(header));
    if (memcmp(header.magic, MAGIC, sizeof(MAGIC)) != 0 || header.blob_bytes != files->blob_bytes ||
        header.file_count > MAX_FILES) {
        return AZFN_ERROR_SYNTAX;
    }
    files->files = calloc((size_t)header.file_count + 1, sizeof(*files->files));
    if (!files->files) {
        return AZFN_ERROR_NO_MEMORY;
    }
    for (size_t i = 0; i < header.file_count; i++) {
        if (!take_file(&rest, &files->files[i])) {
            return AZFN_ERROR_SYNTAX;
        }
    }
    files->file_count = (size_t)header.file_count;
    return rest.length == 0 ? AZFN_OK : AZFN_ERROR_SYNTAX;
}

struct reading {
    int root;
    struct azfn__buffer blob;
    uint64_t file_count;
    struct azfn__config_fault *fault;
};

static enum azfn_error refuse(const struct reading *reading, const char *path, enum azfn_error error, const char *what)
{
    char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
    azfn__config_say(reading->fault, "%s: %s", azfn__config_shown(shown, sizeof(shown), azfn_span_of(path)), what);
    return error;
}

static enum azfn_error refuse_errno(const struct reading *reading, const char *path)
{
    char what[128];
    snprintf(what, sizeof(what), "expected a file that can be read: %s", strerror(errno));
    return refuse(reading, path, AZFN_ERROR_SYSTEM, what);
}

/* All bytes of fd onto the end of the blob; *out_bytes is how many. */
static enum azfn_error append_text(struct reading *reading, int fd, const char *path, size_t *out_bytes)
{
    size_t start = reading->blob.length;
    for (;;) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return refuse_errno(reading, path);
        }
        if (got == 0) {
            *out_bytes = reading->blob.length - start;
            return AZFN_OK;
        }
        azfn__buffer_append(&reading->blob, chunk, (size_t)got);
        if (reading->blob.length - start > AZFN__CONFIG_FILE_MAX_BYTES) {
            return refuse(reading, path, AZFN_ERROR_LIMIT, "expected at most 4 MiB, found more");
        }
        if (reading->blob.has_failed) {
            return refuse(reading, path, AZFN_ERROR_LIMIT, "expected at most 32 MiB in all files, found more");
        }
    }
}

static enum azfn_error append_file(struct reading *reading, int fd, const char *path)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return refuse_errno(reading, path);
    }
    if (!S_ISREG(status.st_mode)) {
        return refuse(reading, path, AZFN_ERROR_SYSTEM, "expected a regular file, found something else");
    }
    if (reading->file_count == MAX_FILES) {
        return refuse(reading, path, AZFN_ERROR_LIMIT, "expected at most 4096 functions, found more");
    }
    size_t at = reading->blob.length;
    size_t path_bytes = strlen(path);
    size_t text_bytes = 0;
    struct file_header header = {.path_bytes = (uint32_t)path_bytes};
    azfn__buffer_append(&reading->blob, &header, sizeof(header));
    azfn__buffer_append(&reading->blob, path, path_bytes);
    enum azfn_error error = append_text(reading, fd, path, &text_bytes);
    if (error == AZFN_OK && !reading->blob.has_failed) {
        header.text_bytes = (uint32_t)text_bytes;
        memcpy(reading->blob.data + at, &header, sizeof(header));
        reading->file_count++;
    }
    return error;
}

static void append_environment(struct reading *reading, struct azfn_span text)
{
    struct azfn_span path = AZFN__SPAN(AZFN__CONFIG_ENVIRONMENT);
    struct file_header header = {.path_bytes = (uint32_t)path.length, .text_bytes = (uint32_t)text.length};
    if (text.length > 0) {
        azfn__buffer_append(&reading->blob, &header, sizeof(header));
        azfn__buffer_append_span(&reading->blob, path);
        azfn__buffer_append_span(&reading->blob, text);
        reading->file_count++;
    }
}

/* One file; *out_is_there is false where there is none. Never waits: a FIFO is refused, not read. */
static enum azfn_error read_file(struct reading *reading, int folder, const char *name, const char *path,
                                 bool *out_is_there)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *out_is_there = fd >= 0;
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? AZFN_OK : refuse_errno(reading, path);
    }
    enum azfn_error error = append_file(reading, fd, path);
    close(fd);
    return error;
}

static int order_texts(const void *a, const void *b)
{
    char *const *left = a;
    char *const *right = b;
    return strcmp(*left, *right);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

/* The names of everything in root that may be a function's folder, sorted. */
static enum azfn_error list_names(const struct reading *reading, char ***out_names, size_t *out_count)
{
    char **names = NULL;
    size_t count = 0;
    size_t room = 0;
    int fd = openat(reading->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    enum azfn_error error = folder ? AZFN_OK : refuse_errno(reading, ".");
    if (!folder && fd >= 0) {
        close(fd);
    }
    for (struct dirent *entry; error == AZFN_OK && (entry = readdir(folder));) {
        unsigned char type = entry->d_type;
        if (entry->d_name[0] == '.' || (type != DT_DIR && type != DT_LNK && type != DT_UNKNOWN)) {
            continue;
        }
        if (count == room) {
            room = room == 0 ? 64 : room * 2;
            char **more = realloc(names, room * sizeof(*names));
            error = more ? AZFN_OK : refuse(reading, ".", AZFN_ERROR_NO_MEMORY, "not enough memory");
            names = more ? more : names;
        }
        if (error == AZFN_OK && !(names[count] = strdup(entry->d_name))) {
            error = refuse(reading, ".", AZFN_ERROR_NO_MEMORY, "not enough memory");
        }
        count += error == AZFN_OK;
    }
    if (folder) {
        closedir(folder);
    }
    if (count > 1) {
        qsort(names, count, sizeof(*names), order_texts);
    }
    *out_names = names;
    *out_count = count;
    return error;
}

/* A folder that is none, is gone or may not be entered is not a function's: the host could not use it either. */
static enum azfn_error read_folder(struct reading *reading, const char *name)
{
    char path[MAX_PATH_BYTES + 1];
    struct stat status;
    bool is_there;
    int folder = openat(reading->root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return AZFN_OK;
    }
    snprintf(path, sizeof(path), "%s/%s", name, FILE_NAME);
    enum azfn_error error = AZFN_OK;
    if (fstatat(folder, FILE_NAME, &status, 0) == 0) {
        error = read_file(reading, folder, FILE_NAME, path, &is_there);
    }
    close(folder);
    return error;
}

static enum azfn_error read_all(struct reading *reading, struct azfn_span environment)
{
    char **names = NULL;
    size_t name_count = 0;
    bool is_there = false;
    enum azfn_error error = read_file(reading, reading->root, "host.json", "host.json", &is_there);
    if (error == AZFN_OK && !is_there) {
        return refuse(reading, "host.json", AZFN_ERROR_NOT_FOUND, "expected this file in the app's folder, found none");
    }
    if (error == AZFN_OK) {
        error = read_file(reading, reading->root, "azfn.json", "azfn.json", &is_there);
    }
    if (error == AZFN_OK) {
        error = list_names(reading, &names, &name_count);
    }
    for (size_t i = 0; error == AZFN_OK && i < name_count; i++) {
        error = read_folder(reading, names[i]);
    }
    free_names(names, name_count);
    append_environment(reading, environment);
    return error;
}

enum azfn_error azfn__config_files_read(struct azfn__config_files *files, const char *root,
                                        struct azfn_span environment,
                                        struct azfn__config_fault *out_fault)
{
    *files = (struct azfn__config_files){0};
    out_fault->message[0] = '\0';
    struct reading reading = {.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), .fault = out_fault};
    if (reading.root < 0) {
        char what[128];
        snprintf(what, sizeof(what), "expected the app's folder: %s", strerror(errno));
        return refuse(&reading, root, AZFN_ERROR_SYSTEM, what);
    }
    struct blob_header header = {.blob_bytes = 0};
    azfn__buffer_init(&reading.blob, BLOB_MAX_BYTES);
    azfn__buffer_append(&reading.blob, &header, sizeof(header));
    enum azfn_error error = read_all(&reading, environment);
    close(reading.root);
    if (error == AZFN_OK && reading.blob.has_failed) {
        error = refuse(&reading, root, AZFN_ERROR_LIMIT, "expected at most 32 MiB in all files, found more");
    }
    if (error == AZFN_OK) {
        memcpy(header.magic, MAGIC, sizeof(MAGIC));
        header.blob_bytes = reading.blob.length;
        header.file_count = reading.file_count;
        memcpy(reading.blob.data, &header, sizeof(header));
        /* the blob is the buffer's memory from here on */
        files->blob = reading.blob.data;
        files->blob_bytes = reading.blob.length;
        error = find_files(files);
    } else {
        azfn__buffer_clean_up(&reading.blob);
    }
    if (error != AZFN_OK) {
        azfn__config_files_clean_up(files);
    }
    return error;
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

/* The blob with one file more. */
static bool write_blob(int fd, const struct azfn__config_files *files, struct azfn_span settings)
{
    struct azfn_span path = AZFN__SPAN(AZFN__CONFIG_SETTINGS);
    struct file_header file = {.path_bytes = (uint32_t)path.length, .text_bytes = (uint32_t)settings.length};
    struct blob_header header;
    memcpy(&header, files->blob, sizeof(header));
    if (settings.length > 0) {
        header.blob_bytes += sizeof(file) + path.length + settings.length;
        header.file_count++;
    }
    return write_all(fd, (const char *)&header, sizeof(header)) &&
           write_all(fd, files->blob + sizeof(header), files->blob_bytes - sizeof(header)) &&
           (settings.length == 0 ||
            (write_all(fd, (const char *)&file, sizeof(file)) && write_all(fd, path.data, path.length) &&
             write_all(fd, settings.data, settings.length)));
}

int azfn__config_files_seal(const struct azfn__config_files *files, struct azfn_span settings)
{
    if (settings.length > AZFN__CONFIG_FILE_MAX_BYTES) {
        errno = EFBIG;
        return -1;
    }
    int fd = azfn__memory_file_create("azfn-config");
    if (fd < 0) {
        return -1;
    }
    if (!write_blob(fd, files, settings) || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
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
    if ((seals & SEALS) != SEALS || status.st_size < (off_t)sizeof(struct blob_header) ||
        status.st_size > (off_t)SEALED_MAX_BYTES) {
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
    enum azfn_error error = find_files(files);
    if (error != AZFN_OK) {
        azfn__config_files_clean_up(files);
    }
    return error;
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
