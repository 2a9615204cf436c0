/* base/trace_id.h
 * The trace that a request belongs to, as W3C's Trace Context writes it: traceparent, version 00, is
 * 00-<32 digits>-<16 digits>-<2 digits>, of hexadecimal digits in lower case. Pure. */
#ifndef AZFN_BASE_TRACE_ID_H
#define AZFN_BASE_TRACE_ID_H

#include <azfn.h>

#define AZFN__TRACE_ID_BYTES 32

/* The first 32 digits, inside of trace_parent. Absent where that is not exactly a traceparent, or where one of its ids is
 * all zeros. */
struct azfn_span azfn__trace_id_of(struct azfn_span trace_parent);

#endif
