/* Resize pictures from standard input to standard output, for a processor that is emulated: resize_pictures ISA.

   Of each picture come width, height, whether the vertical pass is first, the taps across and down, and the pixels. */

#include <stdio.h>
#include <stdlib.h>

#include "api.h"

static void *read_bytes(size_t size) {
    void *bytes = malloc(size); /* exact, so that a checker of memory sees what lies beyond */
    if (!bytes || fread(bytes, 1, size, stdin) != size) exit(2);
    return bytes;
}

static int32_t *read_integers(size_t count) { return read_bytes(sizeof(int32_t) * count); }

static Taps read_taps(void) {
    const int32_t *sizes = read_integers(2);
    Taps taps = {.outputs = sizes[0], .max_taps = sizes[1]};
    taps.first = read_integers(taps.outputs);
    taps.count = read_integers(taps.outputs);
    taps.weights = read_integers((size_t)taps.outputs * taps.max_taps);
    return taps;
}

int main(int count, char **arguments) {
    if (count != 2 || !dandelion_has_isa(atoi(arguments[1]))) return 3;
    int32_t picture[3];
    while (fread(picture, sizeof picture, 1, stdin)) {
        const Taps across = read_taps(), down = read_taps();
        const size_t width = picture[0], height = picture[1], size = (size_t)4 * across.outputs * down.outputs;
        const uint8_t *in = read_bytes(4 * width * height);
        uint8_t *between = malloc(4 * (picture[2] ? down.outputs * width : across.outputs * height)), *out = malloc(size);
        if (!between || !out) return 2;
        dandelion_resize(atoi(arguments[1]), in, picture[0], picture[1], &across, &down, picture[2], between, out);
        if (fwrite(out, 1, size, stdout) != size) return 2;
        free(between);
        free(out);
    }
    return 0;
}
