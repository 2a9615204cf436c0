#include "broker/privileges.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum azfn_error azfn__privileges_forbid_dumps(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    return AZFN_OK;
}

enum azfn_error azfn__privileges_forbid_new(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

bool azfn__privileges_are_root(void)
{
    uid_t real;
    uid_t effective;
    uid_t saved;
    return getresuid(&real, &effective, &saved) != 0 || real == 0 || effective == 0 || saved == 0;
}

static bool is_now(uid_t user)
{
    uid_t uids[3];
    gid_t gids[3];
    if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (uids[i] != user || gids[i] != user) {
            return false;
        }
    }
    return getgroups(0, NULL) == 0;
}

enum azfn_error azfn__privileges_become(uid_t user)
{
    if (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    /* root must not be a call away: the check that the change was for good */
    if (!is_now(user) || setuid(0) == 0) {
        errno = EPERM;
        return AZFN_ERROR_SYSTEM;
    }
    return AZFN_OK;
}
