/* channel/payload.h
 * What payloads of frames are made of: integers in little-endian, and texts behind their length. A take_ function cuts
 * its part off rest; false: it is not there. */
#ifndef AZFN_CHANNEL_PAYLOAD_H
#define AZFN_CHANNEL_PAYLOAD_H

#include "base/buffer.h"

#include <azfn.h>

void azfn__payload_append(struct azfn__buffer *out, uint64_t value, size_t byte_count);
/* Longer ones than 65535 bytes are cut. */
void azfn__payload_append_text(struct azfn__buffer *out, struct azfn_span text);

AZFN_MUST_USE bool azfn__payload_take(struct azfn_span *rest, size_t byte_count, uint64_t *out_value);
AZFN_MUST_USE bool azfn__payload_take_text(struct azfn_span *rest, struct azfn_span *out_text);

#endif
