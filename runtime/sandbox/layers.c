#include "sandbox/layers.h"

unsigned azfn__sandbox_layers(void)
{
#ifdef AZFN_SANITIZE
    return 0;
#else
    return AZFN__SANDBOX_ALL;
#endif
}
