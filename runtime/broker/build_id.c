#include "broker/build_id.h"

#include <elf.h>
#include <link.h>
#include <sodium.h>
#include <string.h>

#define GNU "GNU"

static size_t aligned(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

/* The program itself comes first. */
static int take_first(struct dl_phdr_info *program, size_t size, void *user_data)
{
    char *out_text = user_data;
    (void)size;
    for (size_t i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &program->dlpi_phdr[i];
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): where the loader says that it is */
        const unsigned char *note = (const unsigned char *)(program->dlpi_addr + header->p_vaddr);
        size_t left = header->p_type == PT_NOTE ? header->p_memsz : 0;
        ElfW(Nhdr) head;
        while (left >= sizeof(head)) {
            memcpy(&head, note, sizeof(head));
            size_t name_bytes = aligned(head.n_namesz);
            size_t bytes = sizeof(head) + name_bytes + aligned(head.n_descsz);
            if (bytes > left) {
                break;
            }
            const unsigned char *name = note + sizeof(head);
            if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == sizeof(GNU) &&
                memcmp(name, GNU, sizeof(GNU)) == 0 && head.n_descsz <= (AZFN__BUILD_ID_TEXT_BYTES - 1) / 2) {
                sodium_bin2hex(out_text, AZFN__BUILD_ID_TEXT_BYTES, name + name_bytes, head.n_descsz);
                return 1;
            }
            note += bytes;
            left -= bytes;
        }
    }
    return 1;
}

void azfn__build_id(char out_text[AZFN__BUILD_ID_TEXT_BYTES])
{
    out_text[0] = '\0';
    (void)dl_iterate_phdr(take_first, out_text);
}
