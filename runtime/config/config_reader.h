/* config/config_reader.h
 * One JSON file while it is read: its values with the place where they stand, so that every fault can say
 * "azfn.json:7: /functions/webhook/timeoutMs: expected ..., found ...". Pure. */
#ifndef AZFN_CONFIG_CONFIG_READER_H
#define AZFN_CONFIG_CONFIG_READER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json_scan.h"
#include "config/config.h"

struct azfn__config_reader {
    struct azfn__arena *arena; /* takes what is decoded */
    struct azfn__config_fault *fault;
    struct azfn_span path;
    struct azfn_span text;     /* as it is parsed, each byte where it stands in the file */
    bool is_host_format;       /* unknown keys are no fault */
    struct azfn__buffer copy;  /* private */
    struct azfn__buffer scratch; /* private */
};

/* A value and its way down from the root. Lives on the stack of the one who reads it. */
struct azfn__config_node {
    const struct azfn__config_node *parent; /* NULL: the root */
    struct azfn_span name;                  /* decoded; absent for an item of an array */
    size_t index;                           /* of an item */
    struct azfn_span place;                 /* where a fault is reported; absent: where its parent stands */
    struct azfn_span value;                 /* raw; absent where there is none */
};

/* With is_host_format a byte order mark and comments are overlooked, as the host does. file's bytes must
 * outlive the reader. Close it whatever open returns. */
AZFN_MUST_USE enum azfn_error azfn__config_reader_open(struct azfn__config_reader *reader, struct azfn__arena *arena,
                                                       struct azfn__config_fault *fault,
                                                       const struct azfn__config_file *file, bool is_host_format,
                                                       struct azfn__config_node *out_root);
void azfn__config_reader_close(struct azfn__config_reader *reader);

/* A member's value may be absent, and is for null in a file of the host. In a file of the host a key that
 * differs in case only is a fault: the host would take it. */
AZFN_MUST_USE enum azfn_error azfn__config_member(struct azfn__config_reader *reader,
                                                  const struct azfn__config_node *object, const char *name,
                                                  struct azfn__config_node *out_member);

/* Visits members or items. Begin with a walk over the container; *out_has is false at the end. */
AZFN_MUST_USE enum azfn_error azfn__config_next(struct azfn__config_reader *reader,
                                                const struct azfn__config_node *container,
                                                struct azfn__json_walk *walk, size_t index,
                                                struct azfn__config_node *out_child, bool *out_has);

/* The type as it is needed. Text is decoded into the arena and holds no control characters. */
AZFN_MUST_USE enum azfn_error azfn__config_text(struct azfn__config_reader *reader,
                                                const struct azfn__config_node *node, const char *expected,
                                                struct azfn_span *out_text);
AZFN_MUST_USE enum azfn_error azfn__config_bool(struct azfn__config_reader *reader,
                                                const struct azfn__config_node *node, bool *out_value);
AZFN_MUST_USE enum azfn_error azfn__config_integer(struct azfn__config_reader *reader,
                                                   const struct azfn__config_node *node, uint64_t min, uint64_t max,
                                                   uint64_t *out_value);
/* Present and a container of at most max_count; absent is a fault too. */
AZFN_MUST_USE enum azfn_error azfn__config_object(struct azfn__config_reader *reader,
                                                  const struct azfn__config_node *node, size_t max_count,
                                                  size_t *out_count);
AZFN_MUST_USE enum azfn_error azfn__config_array(struct azfn__config_reader *reader,
                                                 const struct azfn__config_node *node, size_t max_count,
                                                 size_t *out_count);

/* An object of a file of ours: each key is one of known (at most 32), and there once. */
AZFN_MUST_USE enum azfn_error azfn__config_check_keys(struct azfn__config_reader *reader,
                                                      const struct azfn__config_node *node,
                                                      const struct azfn_span *known, size_t known_count);

/* Faults. They return AZFN_ERROR_INVALID_ARGUMENT, or AZFN_ERROR_NO_MEMORY. */
enum azfn_error azfn__config_expected(const struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                      const char *expected);
enum azfn_error azfn__config_expected_name(const struct azfn__config_reader *reader,
                                           const struct azfn__config_node *node, const char *expected,
                                           struct azfn_span found, struct azfn_span meant);
enum azfn_error azfn__config_refuse(const struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                    const char *format, ...) AZFN_PRINTF(3, 4);
enum azfn_error azfn__config_refuse_memory(struct azfn__config_fault *fault);
/* The line of a node in its file, from 1. */
size_t azfn__config_line(const struct azfn__config_reader *reader, const struct azfn__config_node *node);

#endif
