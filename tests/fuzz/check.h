/* fuzz/check.h
 * What a target demands of what it has fed. */
#ifndef TESTS_FUZZ_CHECK_H
#define TESTS_FUZZ_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* In every build, unlike assert(). */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* The fuzzer's bytes, taken from the front; zeros at their end. */
struct input {
    const unsigned char *data;
    size_t length;
};

static inline unsigned take_byte(struct input *input)
{
    if (input->length == 0) {
        return 0;
    }
    input->length--;
    return *input->data++;
}

static inline unsigned take_word(struct input *input)
{
    unsigned low = take_byte(input);
    return low | take_byte(input) << 8;
}

/* At most so many. */
static inline struct input take_bytes(struct input *input, size_t length)
{
    struct input taken = {.data = input->data, .length = length < input->length ? length : input->length};
    input->data += taken.length;
    input->length -= taken.length;
    return taken;
}

#endif
