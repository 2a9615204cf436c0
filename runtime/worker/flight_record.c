#include "worker/flight_record.h"

#include "base/memory_file.h"
#include "base/span.h"
#include "base/trace_id.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(struct azfn__flight_record) <= AZFN__FLIGHT_RECORD_BYTES, "fits into the pages");

int azfn__flight_record_create(void)
{
    int fd = azfn__memory_file_create("azfn-flight-record");
    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)AZFN__FLIGHT_RECORD_BYTES) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct azfn__flight_record *azfn__flight_record_map(int fd)
{
    void *pages = mmap(NULL, AZFN__FLIGHT_RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void azfn__flight_record_unmap(struct azfn__flight_record *record)
{
    if (record) {
        munmap(record, AZFN__FLIGHT_RECORD_BYTES);
    }
}

static uint32_t copy_text(char *to, size_t capacity, struct azfn_span from)
{
    size_t length = from.length < capacity ? from.length : capacity;
    if (length > 0) {
        memcpy(to, from.data, length);
    }
    return (uint32_t)length;
}

void azfn__flight_record_enter(struct azfn__flight_slot *slot, struct azfn_span function,
                               struct azfn_span invocation_id, struct azfn_span trace_parent)
{
    slot->trace_parent_length = copy_text(slot->trace_parent, sizeof(slot->trace_parent), trace_parent);
    slot->invocation_id_length =
        copy_text(slot->invocation_id, sizeof(slot->invocation_id), invocation_id);
    slot->function_length = copy_text(slot->function, sizeof(slot->function), function);
    slot->calls++;
}

void azfn__flight_record_leave(struct azfn__flight_slot *slot)
{
    slot->function_length = 0;
}

void azfn__flight_record_read(const struct azfn__flight_slot *copy, struct azfn__event_fields *out_fields)
{
    out_fields->function = azfn__absent();
    out_fields->invocation_id = azfn__absent();
    out_fields->trace_id = azfn__absent();
    size_t function_length = copy->function_length;
    size_t id_length = copy->invocation_id_length;
    if (function_length == 0 || function_length > sizeof(copy->function) ||
        id_length > sizeof(copy->invocation_id) || copy->trace_parent_length > sizeof(copy->trace_parent)) {
        return;
    }
    out_fields->function = azfn__span(copy->function, function_length);
    if (id_length > 0) {
        out_fields->invocation_id = azfn__span(copy->invocation_id, id_length);
    }
    out_fields->trace_id = azfn__trace_id_of(azfn__span(copy->trace_parent, copy->trace_parent_length));
}
