/* channel/frame.h
 * What broker and worker say to each other over their socketpair: frames of a type and a payload.
 * On the wire: payload length (4 bytes, little-endian), type (1 byte), three zero bytes, payload.
 * Texts inside a payload: length (2 bytes, little-endian), bytes. Pure; each side treats what it reads as
 * hostile. */
#ifndef AZFN_CHANNEL_FRAME_H
#define AZFN_CHANNEL_FRAME_H

#include "base/buffer.h"
#include "base/security_event.h"

#include <azfn.h>

#define AZFN__FRAME_HEADER_BYTES 8
/* Key Vault's values have 25 KiB at the most. */
#define AZFN__FRAME_MAX_PAYLOAD_BYTES ((size_t)32 << 10)

enum azfn__frame_type {
    /* worker to broker */
    AZFN__FRAME_READY = 1,    /* no payload: it listens and serves */
    AZFN__FRAME_FAULT = 2,    /* one text: why it can't serve; it ends after this */
    AZFN__FRAME_LOG = 3,      /* level (1 byte), event (2), how many fields (1), each in its order: which (1), its
                               * text; then a text */
    AZFN__FRAME_ACCEPTED = 4, /* no payload: draining, and nothing is left in the listening socket's queue */
    AZFN__FRAME_REPLACE = 5,  /* one text: why another worker should take its place; it serves until then */
    /* ask_frame.h has these */
    AZFN__FRAME_SECRET_ASK = 6,     /* a secret, for a function */
    AZFN__FRAME_REQUEST = 7,        /* a request to a destination, for a function */
    AZFN__FRAME_REQUEST_BODY = 8,   /* a piece of its body */
    AZFN__FRAME_RESPONSE_READ = 9,  /* so much more of the answer may come */
    AZFN__FRAME_REQUEST_CANCEL = 10, /* nobody waits for the answer any more */
    /* broker to worker */
    AZFN__FRAME_DRAIN = 64,         /* no payload: accept no more, finish what is in flight, end */
    AZFN__FRAME_SECRET = 65,        /* the answer to SECRET_ASK */
    AZFN__FRAME_RESPONSE = 66,      /* status and headers */
    AZFN__FRAME_RESPONSE_BODY = 67, /* a piece */
    AZFN__FRAME_RESPONSE_END = 68,  /* nothing follows, with an error where it is not whole */
    AZFN__FRAME_REQUEST_WRITE = 69, /* so much more of the request's body may come */
};

struct azfn__frame {
    enum azfn__frame_type type;
    struct azfn_span payload; /* valid until the reader is fed or asked again */
};

/* The payload of AZFN__FRAME_LOG. A number's text is its 8 bytes, little-endian. */
struct azfn__log_frame {
    enum azfn__security_event event; /* AZFN__EVENT_NONE: a function's own line */
    enum azfn_log_level level;       /* of such a line; an event has its own */
    struct azfn__event_fields fields;
    struct azfn_span text;
};

/* A frame in two steps, with its payload appended between them. begin gives what end takes. False: the payload is too
 * long or out has failed, and the frame is gone from out. */
size_t azfn__frame_begin(struct azfn__buffer *out, enum azfn__frame_type type);
AZFN_MUST_USE bool azfn__frame_end(struct azfn__buffer *out, size_t begin);

/* Texts that are longer than the frame allows are cut. */
void azfn__frame_append(struct azfn__buffer *out, enum azfn__frame_type type, struct azfn_span payload);
void azfn__frame_append_log(struct azfn__buffer *out, const struct azfn__log_frame *log);
/* False: azfn__frame_append_log() writes no such payload, or it says what a worker has no word in: an event of the
 * broker's, or a field that the catalogue does not give it. The spans point into it. */
bool azfn__frame_decode_log(struct azfn_span payload, struct azfn__log_frame *out_log);

/* Cuts a stream of bytes into frames. */
struct azfn__frame_reader {
    struct azfn__buffer buffer;
    size_t consumed;
};

void azfn__frame_reader_init(struct azfn__frame_reader *reader);
void azfn__frame_reader_clean_up(struct azfn__frame_reader *reader);
/* False: more bytes are waiting than one frame can have. */
AZFN_MUST_USE bool azfn__frame_reader_feed(struct azfn__frame_reader *reader, const void *data, size_t length);
/* Wipes what was taken out of it, which the next feed would do otherwise. */
void azfn__frame_reader_wipe(struct azfn__frame_reader *reader);
/* AZFN_OK: *out_frame is the next one. AZFN_ERROR_UNAVAILABLE: more bytes are needed. AZFN_ERROR_SYNTAX:
 * not a frame; nothing that follows can be trusted. */
AZFN_MUST_USE enum azfn_error azfn__frame_reader_next(struct azfn__frame_reader *reader,
                                                      struct azfn__frame *out_frame);

#endif
