#include "functions.h"

int main(int argc, char **argv)
{
    static const struct azfn_function functions[] = {
        {.name = "hello", .handler = hello},
        {.name = "order", .handler = order},
        {.name = "tidy", .handler = tidy},
        {.name = "webhook", .handler = webhook},
    };
    return azfn_main(argc, argv, functions, sizeof(functions) / sizeof(functions[0]));
}
