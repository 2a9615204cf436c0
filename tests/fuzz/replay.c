/* fuzz/replay.c
 * Feeds files, and the files of directories, to a fuzz target where libFuzzer is not there to do it. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Memory of exactly the file's size: what reads beyond it is found. */
static int replay_file(const char *path)
{
    int result = 1;
    uint8_t *bytes = NULL;
    long size;
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        goto cleanup;
    }
    bytes = malloc((size_t)size > 0 ? (size_t)size : 1);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        goto cleanup;
    }
    result = LLVMFuzzerTestOneInput(bytes, (size_t)size);

cleanup:
    if (result != 0) {
        perror(path);
    }
    free(bytes);
    if (file) {
        (void)fclose(file);
    }
    return result;
}

static int replay(const char *path, unsigned *count)
{
    char name[4096];
    DIR *directory = opendir(path);
    if (!directory) {
        (*count)++;
        return replay_file(path);
    }
    int result = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) && result == 0) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        result = length > 0 && (size_t)length < sizeof(name) ? replay_file(name) : 1;
        (*count)++;
    }
    closedir(directory);
    return result;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i], &count) != 0) {
            return 1;
        }
    }
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
