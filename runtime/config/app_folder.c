#include "config/app_folder.h"

#include "base/span.h"
#include "config/config_blob.h"
#include "config/config_fault.h"
#include "config/file_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "function.json"

struct reading {
    int root;
    struct azfn__buffer *blob;
    size_t file_count;
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
    char what[AZFN__FILE_TEXT_FAULT_BYTES];
    enum azfn_error error = azfn__file_text_refuse_errno(what);
    return refuse(reading, path, error, what);
}

static enum azfn_error append_file(struct reading *reading, int fd, const char *path)
{
    char what[AZFN__FILE_TEXT_FAULT_BYTES];
    if (reading->file_count == AZFN__CONFIG_BLOB_MAX_FILES) {
        return refuse(reading, path, AZFN_ERROR_LIMIT, "expected at most 4096 functions, found more");
    }
    size_t begin = azfn__config_blob_begin_file(reading->blob, azfn_span_of(path));
    enum azfn_error error = azfn__file_text_append(fd, AZFN__CONFIG_FILE_MAX_BYTES, reading->blob, what);
    if (error != AZFN_OK) {
        return refuse(reading, path, error, what);
    }
    if (reading->blob->has_failed) {
        return refuse(reading, path, AZFN_ERROR_LIMIT, "expected at most 32 MiB in all files, found more");
    }
    azfn__config_blob_end_file(reading->blob, begin);
    reading->file_count++;
    return AZFN_OK;
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
    enum azfn_error error = AZFN_OK;
    *out_names = NULL;
    *out_count = 0;
    if (!folder) {
        error = refuse_errno(reading, ".");
        if (fd >= 0) {
            close(fd);
        }
        return error;
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
    closedir(folder);
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
    char path[AZFN__CONFIG_BLOB_MAX_PATH_BYTES + 1];
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

static enum azfn_error read_all(struct reading *reading)
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
    return error;
}

enum azfn_error azfn__app_folder_read(const char *root, struct azfn__buffer *blob,
                                      struct azfn__config_fault *out_fault)
{
    struct reading reading = {
        .root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), .blob = blob, .fault = out_fault};
    if (reading.root < 0) {
        char what[AZFN__FILE_TEXT_FAULT_BYTES];
        snprintf(what, sizeof(what), "expected the app's folder: %s", strerror(errno));
        return refuse(&reading, root, AZFN_ERROR_SYSTEM, what);
    }
    enum azfn_error error = read_all(&reading);
    close(reading.root);
    return error;
}
