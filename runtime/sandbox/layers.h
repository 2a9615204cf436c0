/* sandbox/layers.h
 * The layers of the sandbox. Each is applied or the process does not start: what the kernel lacks is known before, by
 * the broker, which says so. */
#ifndef AZFN_SANDBOX_LAYERS_H
#define AZFN_SANDBOX_LAYERS_H

enum azfn__sandbox_layer {
    AZFN__SANDBOX_SECCOMP = 1,
    AZFN__SANDBOX_LANDLOCK_FILES = 2,
    AZFN__SANDBOX_LANDLOCK_NETWORK = 4, /* TCP: bind and connect */
    AZFN__SANDBOX_LANDLOCK_SCOPE = 8,   /* signals and abstract sockets */
    AZFN__SANDBOX_LIMITS = 16,
    AZFN__SANDBOX_ALL = 31
};

/* Those that a process is to apply: all, where it is not built with sanitizers, which need what the sandbox forbids. A
 * constant; alone in its file, so that a test program can have another one. */
unsigned azfn__sandbox_layers(void);

#endif
