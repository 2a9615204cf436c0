/* config/config_files.h
 * The bytes of an app's configuration: read from the app's root by the broker, handed to the worker in a
 * sealed memfd, so that both decide by the same bytes. */
#ifndef AZFN_CONFIG_CONFIG_FILES_H
#define AZFN_CONFIG_CONFIG_FILES_H

#include "config/config.h"

#define AZFN__CONFIG_FILE_MAX_BYTES ((size_t)4 << 20)
#define AZFN__CONFIG_FILES_MAX_BYTES ((size_t)32 << 20) /* all together */
#define AZFN__CONFIG_MAX_FUNCTIONS 4096

struct azfn__config_files {
    struct azfn__config_file *files;
    size_t file_count;
    char *blob;           /* what the files' spans point into */
    size_t blob_bytes;
    bool is_mapped;       /* blob is a mapping, not heap memory */
};

/* Reads host.json, azfn.json (may be missing) and every <folder>/function.json below root, in this order, the
 * folders sorted by name. Regular files only. environment, where it is not empty, becomes the file AZFN__CONFIG_ENVIRONMENT.
 * Errors: AZFN_ERROR_SYSTEM, AZFN_ERROR_LIMIT, AZFN_ERROR_NOT_FOUND (no host.json), with *out_fault. */
AZFN_MUST_USE enum azfn_error azfn__config_files_read(struct azfn__config_files *files, const char *root,
                                                      struct azfn_span environment,
                                                      struct azfn__config_fault *out_fault);
/* A memfd with these bytes, and settings, where it is not empty, as the file AZFN__CONFIG_SETTINGS, that nobody can
 * change any more; -1 and errno when there is none to be had, EFBIG where settings is too long. */
int azfn__config_files_seal(const struct azfn__config_files *files, struct azfn_span settings);
/* Maps what azfn__config_files_seal made; fd stays the caller's, who may close it. Every length is checked.
 * Errors: AZFN_ERROR_SYSTEM, AZFN_ERROR_SYNTAX (not sealed, or not such a file), AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__config_files_map(struct azfn__config_files *files, int fd);
void azfn__config_files_clean_up(struct azfn__config_files *files);

#endif
