#include "https/https_module.h"

#include "https/engine.h"

extern const struct azfn__https_api azfn__https_api;

__attribute__((visibility("default"))) const struct azfn__https_api azfn__https_api = {
    .version = AZFN__HTTPS_MODULE_VERSION,
    .engine_new = azfn__https_engine_new,
    .engine_destroy = azfn__https_engine_destroy,
    .on_socket = azfn__https_engine_on_socket,
    .on_timer = azfn__https_engine_on_timer,
    .start = azfn__https_engine_start,
    .resume = azfn__https_engine_resume,
    .cancel = azfn__https_engine_cancel,
};
