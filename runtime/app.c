/* azfn_main(): the command line, and which of the processes this one is. */
#include "app.h"

#include "broker/broker.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: %s [--app-root DIR] [--require-sandbox]\n"
    "\n"
    "An Azure Functions custom handler made with azfn " AZFN__VERSION ". The Functions host starts it, with\n"
    "FUNCTIONS_CUSTOMHANDLER_PORT in its environment; azfn-local does the same without Azure.\n"
    "\n"
    "  --app-root DIR  the folder with host.json, azfn.json and a folder per function\n"
    "                  (otherwise FUNCTIONS_APP_ROOT_PATH, or the current folder)\n"
    "  --require-sandbox\n"
    "                  does not start where the kernel lacks a part of the sandbox, or azfn.json turns it off\n"
    "  --help          this text\n"
    "  --version       azfn's version and the functions of this program\n"
    "\n"
    "SIGTERM and SIGINT: accepts no more, finishes what is in flight within 25 s, ends with 0.\n"
    "Exit codes: 0 asked to end, 1 a fault (the last line on stderr says which), 2 wrong usage,\n"
    "200 to be started anew at once.\n";

static int print_version(const struct azfn__app *app)
{
    printf("azfn " AZFN__VERSION "\n");
    for (size_t i = 0; i < app->function_count; i++) {
        printf("function %s\n", app->functions[i].name);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static int refuse_usage(const struct azfn__app *app, const char *problem, const char *argument)
{
    fprintf(stderr, usage, app->program);
    fprintf(stderr, "\n%s: %s %s\n", app->program, problem, argument);
    return 2;
}

int azfn_main(int argc, char **argv, const struct azfn_function *functions, size_t function_count)
{
    static char default_program[] = "handler";
    struct azfn__app app = {
        .functions = functions, .function_count = function_count, .program = argc > 0 ? argv[0] : default_program};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf(usage, app.program);
            return fflush(stdout) == 0 ? 0 : 1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return print_version(&app);
        }
        if (strcmp(argv[i], AZFN__WORKER_ARGUMENT) == 0) {
            return azfn__worker_run(&app);
        }
        if (strcmp(argv[i], "--require-sandbox") == 0) {
            app.is_sandbox_required = true;
        } else if (strncmp(argv[i], "--app-root=", 11) == 0) {
            app.app_root = argv[i] + 11;
        } else if (strcmp(argv[i], "--app-root") == 0) {
            if (i + 1 == argc) {
                return refuse_usage(&app, "a folder is missing after", argv[i]);
            }
            app.app_root = argv[++i];
        } else {
            return refuse_usage(&app, "unknown argument", argv[i]);
        }
    }
    return azfn__broker_run(&app);
}
