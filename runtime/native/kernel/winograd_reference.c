/* Winograd's convolution (templates/winograd.h) in plain C for every CPU, as the matrices say it. */

#include "internal.h"

#define PATCH 6 /* of a side at most */

typedef int32_t Matrix[PATCH][PATCH];

/* As in runtime/native/winograd.py. */
static const Matrix INPUTS[] = {
    [4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
    [6] = {{4, 0, -5, 0, 1, 0},
           {0, -4, -4, 1, 1, 0},
           {0, 4, -4, -1, 1, 0},
           {0, -2, -1, 2, 1, 0},
           {0, 2, -1, -2, 1, 0},
           {0, 4, 0, -5, 0, 1}},
};
static const Matrix OUTPUTS[] = {
    [2] = {{1, 1, 1, 0}, {0, 1, -1, -1}},
    [3] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 2}},
    [4] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 2}},
};

/* a x a^T, of `to` lines of `from`, modulo 2^32. */
static void transform(const Matrix a, int to, int from, uint32_t x[PATCH][PATCH]) {
    uint32_t half[PATCH][PATCH] = {{0}};
    for (int i = 0; i < to; i++)
        for (int j = 0; j < from; j++)
            for (int k = 0; k < from; k++) half[i][j] += (uint32_t)a[i][k] * x[k][j];
    for (int i = 0; i < to; i++)
        for (int j = 0; j < to; j++) {
            uint32_t sum = 0;
            for (int k = 0; k < from; k++) sum += (uint32_t)a[j][k] * half[i][k];
            x[i][j] = sum;
        }
}

/* The patch of one channel, transformed, in 16 bits. */
static void patch_of_channel(const Step *s, const uint8_t *in, int channel, int16_t *out) {
    const int patch = patch_of(s->side);
    uint32_t x[PATCH][PATCH];
    for (int p = 0; p < patch * patch; p++)
        x[p / patch][p % patch] = in[s->k_offsets[p / patch] + p % patch * s->row_stride + channel];
    transform(INPUTS[patch], patch, patch, x);
    for (int p = 0; p < patch * patch; p++) out[p] = (int16_t)x[p / patch][p % patch];
}

/* Block `i`: one tile of one photo, and a group of outputs; the step before, WINOGRAD_INPUT, says where its patch is. */
void winograd_reference(const Step *s, const Job *job, int i) {
    const Part part = part_of(s, job, (BlockShape){1, GROUP}, i);
    const Step *const input = s - 1;
    const int side = s->side, patch = patch_of(side), places = patch * patch;
    const uint8_t *const in =
        job->buffers[input->input] + part.photo * job->sizes[input->input] + input->input_offsets[part.tile];
    const int16_t *const weights = (const int16_t *)(const void *)part.weights; /* [places][channels / unit][GROUP][unit] */
    uint32_t sums[GROUP][PATCH * PATCH] = {{0}};
    for (int c = 0; c < s->unit * s->k_steps; c++) {
        int16_t x[PATCH * PATCH];
        patch_of_channel(input, in, c, x);
        for (int p = 0; p < places; p++) {
            const int16_t *const w = weights + ((size_t)p * s->k_steps + c / s->unit) * GROUP * s->unit + c % s->unit;
            for (int o = 0; o < GROUP; o++) sums[o][p] += (uint32_t)(x[p] * w[o * s->unit]);
        }
    }
    const int32_t *const to = s->output_offsets + part.tile * side * side;
    const Requantizing q = requantizing(s, part.first);
    for (int o = 0; o < GROUP; o++) {
        uint32_t x[PATCH][PATCH];
        for (int p = 0; p < places; p++) x[p / patch][p % patch] = sums[o][p];
        transform(OUTPUTS[side], side, patch, x);
        for (int p = 0; p < side * side; p++) {
            if (to[p] < 0) continue;
            const uint32_t scaled = x[p / side][p % side];
            const int32_t sum = side == 2 ? (int32_t)scaled >> 2 : (int32_t)(scaled * NINTH) >> 6;
            const size_t at = (size_t)to[p] + part.first + o;
            part.out[at] = requantize_reference(&q, sum, o, part.residual ? part.residual + at : NULL);
        }
    }
}
