/* attack.h
 * What an attacker tries who runs code of his own in a function, step by step. The same code runs in a function of an
 * azfn app (app.c) and in a plain program that nothing protects (bare.c). */
#ifndef ATTACK_H
#define ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Each of those that a step names stops it alone. The first five can be switched, see tests/sandbox. */
enum attack_layer {
    BY_SECCOMP = 1 << 0,
    BY_LANDLOCK_FILES = 1 << 1,
    BY_LANDLOCK_NETWORK = 1 << 2,
    BY_LANDLOCK_SCOPE = 1 << 3,
    BY_LIMITS = 1 << 4,
    BY_ENVIRONMENT = 1 << 5,  /* wiped before the worker exists */
    BY_USERS = 1 << 6,        /* broker and worker are different users; where the start is root's */
    BY_UNPRIVILEGED = 1 << 7, /* the worker is an ordinary user */
    BY_UNDUMPABLE = 1 << 8,   /* processes that the kernel lets nobody look into */
    BY_KEEPING = 1 << 9,      /* the worker never had it, or it was wiped */
    BY_POLICY = 1 << 10,      /* azfn.json, in the broker */
    BY_CHANNEL = 1 << 11,     /* the broker's checks of each frame */
    BY_LOG = 1 << 12,         /* the broker alone writes to the host */
    BY_WATCH = 1 << 13,       /* the broker's watch over a worker that hangs */
    BY_HOST_MODE = 1 << 14,   /* the mode in which the host follows no redirect */
};
#define BY_ANY_LANDLOCK (BY_LANDLOCK_FILES | BY_LANDLOCK_NETWORK | BY_LANDLOCK_SCOPE)

enum attack_flag {
    NEEDS_ROOT = 1 << 0,     /* the kernel asks for it, where no layer does */
    NEEDS_BROKER = 1 << 1,   /* speaks on the channel; a plain handler has none */
    NEEDS_AZFN = 1 << 2,     /* can't be tried in a plain program */
    ENDS_WORKER = 1 << 3,    /* what stops it, other than seccomp, kills the worker */
    SEEN_OUTSIDE = 1 << 4,   /* what came of it shows in the log or in an answer */
    IS_POSSIBLE = 1 << 5,    /* by design */
    KILLS_TARGET = 1 << 6,   /* where it succeeds */
    NEEDS_32_BIT = 1 << 7,   /* the kernel's 32-bit calls, which not every kernel has */
};

enum attack_outcome { ATTACK_SUCCEEDED, ATTACK_REFUSED, ATTACK_NOTHING, ATTACK_NOT_HERE };

struct attack_result {
    enum attack_outcome outcome;
    int error;          /* errno, where it was refused */
    const char *call;   /* which refused it */
    char detail[128];
};

/* What the attacker has found out before: "name=value;name=value". */
struct attack_target {
    const char *text;
};
long attack_number(const struct attack_target *target, const char *name);
/* A copy that stays; "" where there is none. */
const char *attack_text(const struct attack_target *target, const char *name);

typedef struct attack_result attack_fn(const struct attack_target *target);

struct attack_step {
    const char *name;
    const char *wants; /* for people */
    attack_fn *run;
    unsigned stopped_by;
    const char *call;  /* at which seccomp ends it, "a|b" where that depends on glibc. NULL: seccomp does not */
    const char *event; /* the broker's, where it is not that of seccomp. NULL: none */
    unsigned flags;
};

struct attack_group {
    const char *name;
    const char *title;
    const struct attack_step *steps;
    size_t count;
};
extern const struct attack_group attack_secrets;
extern const struct attack_group attack_files;
extern const struct attack_group attack_network;
extern const struct attack_group attack_processes;
extern const struct attack_group attack_channel;

/* NULL: there is none of that name. */
const struct attack_step *attack_find(const char *name, size_t length);
/* All steps, one JSON object a line, on stdout. */
void attack_print_table(void);
/* As JSON, NUL-terminated. */
void attack_describe(const struct attack_result *result, char *out, size_t capacity);

/* For the steps. */
struct attack_result attack_succeeded(const char *detail);
struct attack_result attack_refused(const char *call); /* by errno */
struct attack_result attack_nothing(const char *detail);
struct attack_result attack_not_here(const char *reason);
/* result < 0: refused, otherwise succeeded. */
struct attack_result attack_judge(long result, const char *call, const char *detail);
/* Reads a file and looks for something that is worth stealing: any text that begins with the word of canaries. */
struct attack_result attack_read(const char *path, bool must_have_canary);
bool attack_has_canary(const char *bytes, size_t length);
/* Looks through the process's own memory, with system calls that the sandbox allows. needle is masked, byte by byte,
 * with ATTACK_MASK, so that it is not what is found. NULL: not there. */
#define ATTACK_MASK 0x5a
char *attack_search_memory(const unsigned char *needle, size_t length);
size_t attack_unhex(const char *text, unsigned char *out, size_t capacity);

#define ATTACK_LISTENER(target) ((int)attack_number(target, "listener"))
#define ATTACK_EXECUTED "attack-executed"

#endif
