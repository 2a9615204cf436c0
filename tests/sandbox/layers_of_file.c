/* For test programs: takes the place of the library's azfn__sandbox_layers() and azfn__landlock_version(), so that a
 * program can run with single layers of its sandbox, or as on an older kernel. It reads the file "sandbox-layers"
 * beside the executable: seccomp landlock_files landlock_network landlock_scope limits all none, and
 * landlock_version=N. Without the file: all, and the kernel's version. */
#include "sandbox/landlock.h"
#include "sandbox/layers.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct choice {
    unsigned layers;
    long landlock_version;
    int was_read;
};

static void read_word(struct choice *choice, const char *word)
{
    static const struct {
        const char *name;
        unsigned layers;
    } names[] = {{"seccomp", AZFN__SANDBOX_SECCOMP},
                 {"landlock_files", AZFN__SANDBOX_LANDLOCK_FILES},
                 {"landlock_network", AZFN__SANDBOX_LANDLOCK_NETWORK},
                 {"landlock_scope", AZFN__SANDBOX_LANDLOCK_SCOPE},
                 {"limits", AZFN__SANDBOX_LIMITS},
                 {"all", AZFN__SANDBOX_ALL}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        choice->layers |= strcmp(names[i].name, word) == 0 ? names[i].layers : 0;
    }
    if (strncmp(word, "landlock_version=", 17) == 0) {
        choice->landlock_version = strtol(word + 17, NULL, 10);
    }
}

/* Each process reads it once, before its own sandbox. */
static const struct choice *choose(void)
{
    static struct choice choice;
    char path[PATH_MAX];
    char text[512] = "all";
    if (choice.was_read) {
        return &choice;
    }
    choice = (struct choice){.landlock_version = syscall(444, NULL, (size_t)0, 1U), .was_read = 1};
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/sandbox-layers"));
    char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
    if (slash) {
        memcpy(slash, "/sandbox-layers", sizeof("/sandbox-layers"));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            length = read(fd, text, sizeof(text) - 1);
            text[length > 0 ? length : 0] = '\0';
            close(fd);
        }
    }
    char *rest = text;
    for (char *word; (word = strtok_r(rest, " \n", &rest)) != NULL;) {
        read_word(&choice, word);
    }
    return &choice;
}

unsigned azfn__sandbox_layers(void)
{
    return choose()->layers;
}

long azfn__landlock_version(void)
{
    return choose()->landlock_version;
}
