#include <azfn.h>

const char *azfn_error_text(enum azfn_error error)
{
    switch (error) {
#define AZFN_ERROR_TEXT(name, text) \
    case AZFN_##name:               \
        return text;
        AZFN_ERROR_MAP(AZFN_ERROR_TEXT)
#undef AZFN_ERROR_TEXT
    }
    return "unknown error";
}

const char *azfn_error_name(enum azfn_error error)
{
    switch (error) {
#define AZFN_ERROR_NAME(name, text) \
    case AZFN_##name:               \
        return "AZFN_" #name;
        AZFN_ERROR_MAP(AZFN_ERROR_NAME)
#undef AZFN_ERROR_NAME
    }
    return "AZFN_ERROR_UNKNOWN";
}
