#include "sandbox/landlock.h"

#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's linux/landlock.h knows the first two versions only, and other systems have none. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_FIRST_VERSION ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)     /* version 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* version 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define NET_BIND_TCP (UINT64_C(1) << 0)  /* version 4 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0) /* version 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

struct ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct net_port {
    uint64_t allowed_access;
    uint64_t port;
};

unsigned azfn__landlock_offered(void)
{
    long offered = azfn__landlock_version();
    return (offered >= 1 ? (unsigned)AZFN__SANDBOX_LANDLOCK_FILES : 0) |
           (offered >= 4 ? (unsigned)AZFN__SANDBOX_LANDLOCK_NETWORK : 0) |
           (offered >= 6 ? (unsigned)AZFN__SANDBOX_LANDLOCK_SCOPE : 0);
}

/* All that this kernel knows: what is not handled stays allowed. */
static uint64_t known_file_access(long offered)
{
    return FS_FIRST_VERSION | (offered >= 2 ? FS_REFER : 0) | (offered >= 3 ? FS_TRUNCATE : 0) |
           (offered >= 5 ? FS_IOCTL_DEV : 0);
}

static int allow_path(int ruleset, const struct azfn__landlock_path *allowed)
{
    struct stat status;
    struct path_beneath rule = {.allowed_access = FS_READ_FILE | (allowed->may_execute ? FS_EXECUTE : 0)};
    rule.parent_fd = open(allowed->path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
    }
    int result = fstat(rule.parent_fd, &status);
    if (result == 0) {
        rule.allowed_access |= S_ISDIR(status.st_mode) ? FS_READ_DIR : 0;
        result = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0U);
    }
    int error = errno;
    close(rule.parent_fd);
    errno = error;
    return result;
}

static int add_rules(int ruleset, const struct azfn__landlock_rules *rules, unsigned layers)
{
    if (layers & AZFN__SANDBOX_LANDLOCK_FILES) {
        for (size_t i = 0; i < rules->path_count; i++) {
            if (allow_path(ruleset, &rules->paths[i]) != 0) {
                return -1;
            }
        }
    }
    if (layers & AZFN__SANDBOX_LANDLOCK_NETWORK) {
        for (size_t i = 0; i < rules->connect_port_count; i++) {
            const struct net_port rule = {.allowed_access = NET_CONNECT_TCP, .port = rules->connect_ports[i]};
            if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0U) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

enum azfn_error azfn__landlock_apply(const struct azfn__landlock_rules *rules)
{
    long offered = azfn__landlock_version();
    unsigned layers = rules->layers & azfn__landlock_offered();
    if (layers == 0) {
        return AZFN_OK;
    }
    struct ruleset handled = {0};
    /* a kernel takes a longer struct than it knows, where the rest is zero */
    if (layers & AZFN__SANDBOX_LANDLOCK_FILES) {
        handled.handled_access_fs = known_file_access(offered);
    }
    if (layers & AZFN__SANDBOX_LANDLOCK_NETWORK) {
        handled.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
    }
    if (layers & AZFN__SANDBOX_LANDLOCK_SCOPE) {
        handled.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0U);
    if (ruleset < 0) {
        return AZFN_ERROR_SYSTEM;
    }
    bool is_fine = add_rules(ruleset, rules, layers) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0;
    int error = errno;
    close(ruleset);
    errno = error;
    return is_fine ? AZFN_OK : AZFN_ERROR_SYSTEM;
}
