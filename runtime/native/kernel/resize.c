/* Bilinear resize as Pillow's Resample.c computes it, to the last bit: the scalar reference.

   Weights have 22 binary places; one pass goes along the lines and one down the columns, each rounded to bytes. Pixels are
   four bytes, the last of which means nothing. */

#include "internal.h"

static uint8_t to_byte(int32_t sum) {
    sum >>= PRECISION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One byte: the weighted sum of `count` bytes at distance `stride`. */
static uint8_t weighted(const uint8_t *in, size_t stride, const int32_t *weights, int count) {
    int32_t sum = 1 << (PRECISION_BITS - 1);
    for (int t = 0; t < count; t++) sum += in[t * stride] * weights[t];
    return to_byte(sum);
}

/* [lines][width][4] to [lines][outputs][4] */
static void along_lines(const uint8_t *in, int width, int lines, uint8_t *out, const Taps *taps) {
    for (int y = 0; y < lines; y++, in += 4 * (size_t)width)
        for (int x = 0; x < taps->outputs; x++)
            for (int c = 0; c < 4; c++)
                *out++ = weighted(in + 4 * (size_t)taps->first[x] + c, 4, taps->weights + (size_t)x * taps->max_taps,
                                  taps->count[x]);
}

/* [height][width][4] to [outputs][width][4] */
static void down_columns(const uint8_t *in, int width, uint8_t *out, const Taps *taps) {
    const size_t bytes = 4 * (size_t)width;
    for (int y = 0; y < taps->outputs; y++)
        for (size_t x = 0; x < bytes; x++)
            *out++ = weighted(in + taps->first[y] * bytes + x, bytes, taps->weights + (size_t)y * taps->max_taps,
                              taps->count[y]);
}

void resize_reference(const uint8_t *in, int32_t width, int32_t height, const Taps *across, const Taps *vertical,
                      int32_t vertical_first, uint8_t *between, uint8_t *out) {
    if (vertical_first) {
        down_columns(in, width, between, vertical);
        along_lines(between, width, vertical->outputs, out, across);
    } else {
        along_lines(in, width, height, between, across);
        down_columns(between, across->outputs, out, vertical);
    }
}
