/* broker/build_id.h
 * Which executable this is: the note that the linker leaves in it, as readelf -n and debuggers show it. */
#ifndef AZFN_BROKER_BUILD_ID_H
#define AZFN_BROKER_BUILD_ID_H

#include <stddef.h>

#define AZFN__BUILD_ID_TEXT_BYTES 65

/* Hexadecimal digits; empty where the executable has none. */
void azfn__build_id(char out_text[AZFN__BUILD_ID_TEXT_BYTES]);

#endif
