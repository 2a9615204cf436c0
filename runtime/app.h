/* app.h
 * What azfn_main() was given, as the roles need it. */
#ifndef AZFN_APP_H
#define AZFN_APP_H

#include <azfn.h>

#define AZFN__VERSION "0.1.0"

struct azfn__app {
    const struct azfn_function *functions; /* static */
    size_t function_count;
    char *program;        /* argv[0] */
    bool is_sandbox_required; /* --require-sandbox */
    const char *app_root; /* NULL: the environment says it, or the current folder */
};

#endif
