/* Files, and memory that is to be run as a program. */
#include "attack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *below(const struct attack_target *target, const char *folder, const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", attack_text(target, folder), name);
    return path;
}

static struct attack_result read_host_json(const struct attack_target *target)
{
    return attack_read(below(target, "app", "host.json"), false);
}

static struct attack_result read_azfn_json(const struct attack_target *target)
{
    return attack_read(below(target, "app", "azfn.json"), false);
}

static struct attack_result read_passwd(const struct attack_target *target)
{
    (void)target;
    return attack_read("/etc/passwd", false);
}

static struct attack_result read_token_file(const struct attack_target *target)
{
    return attack_read(below(target, "scratch", "token"), true);
}

static struct attack_result read_handler(const struct attack_target *target)
{
    return attack_read(below(target, "app", "handler"), false);
}

/* As a filter must know it, too. */
static struct attack_result read_by_newer_call(const struct attack_target *target)
{
    struct open_how how = {.flags = O_RDONLY};
    long fd = syscall(SYS_openat2, AT_FDCWD, below(target, "scratch", "token"), &how, sizeof(how));
    return attack_judge(fd, "openat2", "opened");
}

static struct attack_result list_app(const struct attack_target *target)
{
    DIR *folder = opendir(attack_text(target, "app"));
    if (!folder) {
        return attack_refused("openat");
    }
    bool is_there = readdir(folder) != NULL;
    closedir(folder);
    return is_there ? attack_succeeded("listed") : attack_nothing("empty");
}

static struct attack_result change_policy(const struct attack_target *target)
{
    int fd = open(below(target, "app", "azfn.json"), O_WRONLY | O_APPEND | O_CLOEXEC);
    return attack_judge(fd, "openat", "open for writing");
}

static struct attack_result delete_policy(const struct attack_target *target)
{
    return attack_judge(unlinkat(AT_FDCWD, below(target, "app", "azfn.json"), 0), "unlinkat", "deleted");
}

static struct attack_result replace_handler(const struct attack_target *target)
{
    char from[512];
    (void)snprintf(from, sizeof(from), "%s", below(target, "app", "host.json"));
    return attack_judge(renameat(AT_FDCWD, from, AT_FDCWD, below(target, "app", "handler")), "renameat", "replaced");
}

static struct attack_result make_executable(const struct attack_target *target)
{
    return attack_judge(syscall(SYS_fchmodat, AT_FDCWD, below(target, "app", "host.json"), 04755), "fchmodat",
        "changed");
}

static struct attack_result add_function(const struct attack_target *target)
{
    return attack_judge(mkdirat(AT_FDCWD, below(target, "app", "backdoor"), 0755), "mkdirat", "added");
}

static struct attack_result link_to_app(const struct attack_target *target)
{
    return attack_judge(symlinkat("/etc/passwd", AT_FDCWD, below(target, "scratch", "link")), "symlinkat", "linked");
}

static struct attack_result leave_file(const struct attack_target *target)
{
    int fd = open(below(target, "scratch", "tool"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    return attack_judge(fd, "openat", "written");
}

static struct attack_result use_shared_memory_folder(const struct attack_target *target)
{
    (void)target;
    char path[64];
    (void)snprintf(path, sizeof(path), "/dev/shm/%s", attack_text(target, "abstract"));
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) {
        return attack_not_here("there is no /dev/shm");
    }
    struct attack_result result = attack_judge(fd, "openat", "written");
    if (fd >= 0) {
        unlink(path);
    }
    return result;
}

static struct attack_result use_shared_memory(const struct attack_target *target)
{
    (void)target;
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    if (id < 0) {
        return attack_refused("shmget");
    }
    shmctl(id, IPC_RMID, NULL);
    return attack_succeeded("shared with other processes");
}

static struct attack_result make_memory_file(const struct attack_target *target)
{
    (void)target;
    return attack_judge((long)memfd_create("tool", 0), "memfd_create", "a file that nobody sees");
}

static struct attack_result run_memory_file(const struct attack_target *target)
{
    (void)target;
    static const char program[] = "#!/bin/sh\necho " ATTACK_EXECUTED "\n";
    char name[] = "tool";
    char *arguments[] = {name, NULL};
    char *no_environment[] = {NULL};
    int fd = memfd_create(name, 0);
    if (fd < 0 || write(fd, program, sizeof(program) - 1) < 0) {
        return attack_refused("memfd_create");
    }
    fexecve(fd, arguments, no_environment);
    return attack_refused("execveat");
}

/* What an exploit needs that brings machine code with it. */
static const unsigned char return_code[] = {
#if defined(__x86_64__)
    0xf3, 0x0f, 0x1e, 0xfa, 0xc3
#elif defined(__aarch64__)
    0xc0, 0x03, 0x5f, 0xd6
#else
    0
#endif
};

static void *map_code(int protection)
{
    void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        memcpy(page, return_code, sizeof(return_code));
        __builtin___clear_cache(page, (char *)page + 64);
    }
    return page;
}

static struct attack_result call_code(void *page)
{
    void (*function)(void);
    memcpy(&function, &page, sizeof(function));
    function();
    return attack_succeeded("machine code of the attacker ran");
}

static struct attack_result map_executable(const struct attack_target *target)
{
    (void)target;
    void *page = map_code(PROT_READ | PROT_WRITE | PROT_EXEC);
    return page == MAP_FAILED ? attack_refused("mmap") : call_code(page);
}

static struct attack_result turn_executable(const struct attack_target *target)
{
    (void)target;
    void *page = map_code(PROT_READ | PROT_WRITE);
    if (page == MAP_FAILED) {
        return attack_refused("mmap");
    }
    return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 ? attack_refused("mprotect") : call_code(page);
}

static struct attack_result turn_executable_by_key(const struct attack_target *target)
{
    (void)target;
    void *page = map_code(PROT_READ | PROT_WRITE);
    if (page == MAP_FAILED) {
        return attack_refused("mmap");
    }
    return syscall(SYS_pkey_mprotect, page, 4096UL, PROT_READ | PROT_EXEC, -1) < 0 ? attack_refused("pkey_mprotect")
                                                                                  : call_code(page);
}

#define FILES (BY_SECCOMP | BY_LANDLOCK_FILES)

static const struct attack_step steps[] = {
    {"read-host-json", "Read how the app is set up", read_host_json, FILES, "openat", NULL, 0},
    {"read-azfn-json", "Read which secrets and services there are", read_azfn_json, FILES, "openat", NULL, 0},
    {"read-passwd", "Read the machine's users", read_passwd, FILES, "openat", NULL, 0},
    {"read-token-file", "Read a token that lies in a file, as containers have them", read_token_file, FILES, "openat",
     NULL, 0},
    {"read-by-newer-call", "The same by a newer system call", read_by_newer_call, FILES, "openat2", NULL, 0},
    {"read-handler", "Read the program itself", read_handler, FILES, "openat", NULL, 0},
    {"list-app", "List the app's folder", list_app, FILES, "openat", NULL, 0},
    {"change-policy", "Grant oneself more in azfn.json", change_policy, FILES | BY_USERS, "openat", NULL, 0},
    {"delete-policy", "Delete azfn.json", delete_policy, FILES | BY_USERS, "unlinkat|unlink", NULL, 0},
    {"replace-handler", "Put another program in the handler's place", replace_handler, FILES | BY_USERS,
     "renameat|renameat2|rename", NULL, 0},
    {"make-setuid", "Make a file executable with its owner's rights", make_executable, BY_SECCOMP | BY_USERS,
     "fchmodat", NULL, 0},
    {"add-function", "Add a function as a back door", add_function, FILES | BY_USERS, "mkdirat|mkdir", NULL, 0},
    {"leave-link", "Leave a link for another program to follow", link_to_app, FILES, "symlinkat|symlink", NULL, 0},
    {"leave-file", "Leave a tool in a folder that all may write to", leave_file, FILES, "openat", NULL, 0},
    {"use-dev-shm", "Leave it in /dev/shm", use_shared_memory_folder, FILES, "openat", NULL, 0},
    {"use-shared-memory", "Share memory with another process", use_shared_memory, BY_SECCOMP, "shmget", NULL, 0},
    {"make-memory-file", "Make a file that is only in memory", make_memory_file, BY_SECCOMP, "memfd_create", NULL, 0},
    {"run-memory-file", "Run a program that is only in memory", run_memory_file, BY_SECCOMP, "memfd_create", NULL, 0},
    {"map-executable", "Get memory to write machine code into", map_executable, BY_SECCOMP, "mmap", NULL, 0},
    {"turn-executable", "Turn written memory into machine code", turn_executable, BY_SECCOMP, "mprotect", NULL, 0},
    {"turn-executable-by-key", "The same by a newer system call", turn_executable_by_key, BY_SECCOMP, "pkey_mprotect",
     NULL, 0},
};

const struct attack_group attack_files = {"files", "Files and code", steps, sizeof(steps) / sizeof(steps[0])};
