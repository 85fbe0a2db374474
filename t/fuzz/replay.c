/*
 * Runs a fuzz target over its corpus without a fuzzer, as a test: every input
 * that was ever interesting stays so, on machines that have only gcc.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int
replay(const char *path)
{
    long      size;
    FILE     *file;
    uint8_t  *data;

    file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return -1;
    }

    size = ftell(file);
    rewind(file);

    /* exactly as large as the input, so that one byte too far is seen */
    data = malloc(size > 0 ? (size_t) size : 1);
    if (data == NULL || fread(data, 1, (size_t) size, file) != (size_t) size) {
        return -1;
    }

    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t) size);
    free(data);

    return 0;
}


int
main(void)
{
    int             n = 0, bad = 0;
    char            path[1024];
    DIR            *dir;
    struct dirent  *entry;

    dir = opendir(LLM_CORPUS);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "%s/%s", LLM_CORPUS, entry->d_name);

        n++;
        if (replay(path) != 0) {
            bad++;
            printf("not ");
        }

        printf("ok %d - %s\n", n, entry->d_name);
    }

    if (n == 0) {
        printf("1..0 # SKIP no corpus in %s\n", LLM_CORPUS);
        return 0;
    }

    closedir(dir);
    printf("1..%d\n", n);

    return bad != 0;
}
