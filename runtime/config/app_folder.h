/* config/app_folder.h
 * The folder of an app, as the Functions host lays it out: host.json, azfn.json, and a folder for each function. */
#ifndef AZFN_CONFIG_APP_FOLDER_H
#define AZFN_CONFIG_APP_FOLDER_H

#include "base/buffer.h"
#include "config/config.h"

/* Appends host.json, azfn.json (may be missing) and every <folder>/function.json below root to the blob, in this order,
 * the folders sorted by name. Regular files only. Errors: AZFN_ERROR_SYSTEM, AZFN_ERROR_LIMIT, AZFN_ERROR_NOT_FOUND (no
 * host.json), AZFN_ERROR_NO_MEMORY, with *out_fault. */
AZFN_MUST_USE enum azfn_error azfn__app_folder_read(const char *root, struct azfn__buffer *blob,
                                                    struct azfn__config_fault *out_fault);

#endif
