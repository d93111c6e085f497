/* Scalar reference convolution and requantize, in plain C for every CPU: bit for bit what the other variants answer. */

#include <math.h>
#include <string.h>

#include "internal.h"

#define WIDTH (2 * LANES) /* outputs of a block */
#define MAX_ROWS 16       /* of a tile, in either layout */

#pragma STDC FP_CONTRACT OFF /* a product and a sum are rounded apart, but for `fmaf` */

/* The nearest integer, a half to the even one, of a value that is clamped to -512..511: no zero point and no byte is
   larger. Adding 1.5 * 2^23 leaves no room for a fraction. */
static int32_t nearest(float value) {
    value = value < 511 ? value : 511;
    value = value > -512 ? value : -512;
    const volatile float shifted = value + 12582912.0f;
    return (int32_t)(shifted - 12582912.0f);
}

static int32_t clamp(int32_t value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

/* A sum to a byte, rounded as QLinearConv does; then added to the residual as QLinearAdd does. */
static uint8_t requantize(const Step *s, int32_t sum, int output, const uint8_t *residual) {
    const float value = (float)(int32_t)((uint32_t)sum + (uint32_t)s->bias[output]) * s->scale[output];
    const int32_t byte = clamp(nearest(value) + s->zero_point);
    if (!residual) return (uint8_t)byte;
    const float other = fmaf((float)*residual, s->scale_residual, s->shift);
    return (uint8_t)clamp(nearest(fmaf((float)byte, s->scale_own, other)));
}

/* Weights [groups][16][4] of four products as [4][32]: by output, two groups side by side. */
static void unpack_weights(const int8_t *w, size_t group_bytes, int16_t unpacked[4][WIDTH]) {
    for (int o = 0; o < WIDTH; o++)
        for (int i = 0; i < 4; i++) unpacked[i][o] = w[o / LANES * group_bytes + o % LANES * 4 + i];
}

/* Four activations times their weights, added to the sums of one row. A product of two bytes fits 16 bits. */
static void multiply_quad(int32_t sums[WIDTH], const uint8_t *a, int16_t w[4][WIDTH]) {
    for (int i = 0; i < 4; i++) {
        const int16_t activation = a[i];
        if (!activation) continue;
        for (int o = 0; o < WIDTH; o++) sums[o] += (int16_t)(activation * w[i][o]);
    }
}

/* The sums [rows][32] of a tile, over the listed steps of the reduction, of `width` products each. */
static void multiply_tile(const Step *s, const uint8_t *const *row, const int8_t *w, const int32_t *list, int width,
                          int32_t sums[][WIDTH]) {
    memset(sums, 0, s->rows * sizeof *sums);
    for (const int32_t *end = list + *list; list < end;) {
        const int32_t k = *++list;
        for (int q = 0; q < width; q += 4) {
            int16_t unpacked[4][WIDTH];
            unpack_weights(w + (size_t)k * LANES * width + q * LANES, s->group_bytes, unpacked);
            for (int r = 0; r < s->rows; r++) multiply_quad(sums[r], row[r] + s->k_offsets[k] + q, unpacked);
        }
    }
}

/* Block `i` of a convolution: one tile of one photo, two groups of outputs. The layout shows in the weights: steps of the
   reduction are of 4 products (VNNI, rows in pairs) or of 64 (AMX, all rows of a tile at one distance). */
void convolve_reference(const Step *s, const Job *job, int i) {
    const int t = i % s->tiles, photo = i / s->tiles % job->photos, n = i / s->tiles / job->photos * 2;
    const int width = s->k_steps ? s->group_bytes / (LANES * s->k_steps) : 4, run = width == 4 ? 2 : s->rows;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    const uint8_t *residual = s->residual < 0 ? NULL : job->buffers[s->residual] + photo * job->sizes[s->residual];
    const int32_t *list = s->full_list, *from = s->input_offsets + t * ((s->rows + run - 1) / run);
    if (s->nonzero_list >= 0) {
        const uint8_t *lists = job->buffers[s->nonzero_list] + photo * job->sizes[s->nonzero_list];
        list = (const int32_t *)(const void *)lists + t * s->list_capacity;
    }
    const uint8_t *row[MAX_ROWS];
    int32_t sums[MAX_ROWS][WIDTH];
    for (int r = 0; r < s->rows; r++) row[r] = in + from[r / run] + r % run * s->row_stride;
    multiply_tile(s, row, s->weights + (size_t)n * s->group_bytes, list, width, sums);
    for (int r = 0; r < s->rows; r++) {
        const int32_t to = s->output_offsets[t * s->rows + r];
        for (int o = 0; to >= 0 && o < WIDTH; o++) {
            const int32_t at = to + n * LANES + o;
            out[at] = requantize(s, sums[r][o], n * LANES + o, residual ? residual + at : NULL);
        }
    }
}
