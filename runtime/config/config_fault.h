/* config/config_fault.h
 * Text for a person about files that anybody may have written: cut, and without control characters. */
#ifndef AZFN_CONFIG_CONFIG_FAULT_H
#define AZFN_CONFIG_CONFIG_FAULT_H

#include "config/config.h"

/* Room for 40 bytes of a value, "..." and a NUL; for the path of a file. */
#define AZFN__CONFIG_SHOWN_ROOM 44
#define AZFN__CONFIG_SHOWN_PATH_ROOM 164

/* As much of text as has room, "..." where it was cut; control characters, bytes that are no UTF-8 and what
 * turns the direction of writing become "?". Returns out. */
const char *azfn__config_shown(char *out, size_t room_bytes, struct azfn_span text);

/* Starts a message over, or goes on with it; what does not fit is cut. */
void azfn__config_say(struct azfn__config_fault *fault, const char *format, ...) AZFN_PRINTF(2, 3);
void azfn__config_say_more(struct azfn__config_fault *fault, const char *format, ...) AZFN_PRINTF(2, 3);

/* The one of count names that text was probably meant to be: at most two letters apart, without regard to
 * case. Absent when there is none. first is the name within the first item, stride_bytes an item's size. */
struct azfn_span azfn__config_meant(struct azfn_span text, const struct azfn_span *first, size_t count,
                                    size_t stride_bytes);

#endif
