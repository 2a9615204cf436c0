/* base/memory_file.h
 * A memfd: a file without a name, whose size or content can be sealed. */
#ifndef AZFN_BASE_MEMORY_FILE_H
#define AZFN_BASE_MEMORY_FILE_H

/* Close-on-exec, sealable, and not executable where the kernel knows how. -1 and errno. */
int azfn__memory_file_create(const char *name);

#endif
