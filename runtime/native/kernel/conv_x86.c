/* Convolution on x86-64: an implicit matrix product (im2col without the copy), by VNNI or AMX.

   The two are parts of this translation unit, since the compiler inlines the VNNI tile and the requantizing into the loop
   over blocks. */

#ifdef __x86_64__

#include "conv_amx.h"
#include "conv_vnni.h"
#include "requantize_avx512.h"

/* Block `i` of a convolution; outputs vary slowest, so that one group's weights serve all photos.
   Aligned, so that its loops lie in the same cache lines whatever is linked before it. */
VNNI __attribute__((aligned(64))) void convolve_x86(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[4 * 16 * LANES];
    const BlockShape shape = block_shape(s, job->isa != ISA_VNNI);
    const int across = (s->tiles + shape.tiles - 1) / shape.tiles;
    const int t = i % across * shape.tiles, photo = i / across % job->photos, n = i / across / job->photos * shape.groups;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    const uint8_t *residual = s->residual < 0 ? NULL : job->buffers[s->residual] + photo * job->sizes[s->residual];
    const size_t next = s->group_bytes;
    const int8_t *w = s->weights + n * next;
    const int32_t *to = s->output_offsets + t * s->rows;
    const int here = s->tiles - t < shape.tiles ? s->tiles - t : shape.tiles, first = n * LANES;
    if (job->isa == ISA_VNNI) {
        const int list = s->nonzero_list;
        const uint8_t *lists = list < 0 ? NULL : job->buffers[list] + photo * job->sizes[list];
        vnni_block(s, in, t, w, (const int32_t *)lists, sums);
        write_tile(s, sums, to, first, 2, out, residual);
    } else if (shape.groups == 4) {
        amx_1x4(s, in, t, w, next, sums);
        write_tile(s, sums, to, first, 4, out, residual);
    } else if (shape.tiles == 4) {
        amx_4x1(s, in, t, w, sums);
        for (int j = 0; j < 4; j++)
            write_tile(s, sums + j * s->rows * LANES, to + j * s->rows, first, 1, out, residual);
    } else {
        if (here == 2) amx_2x2(s, in, t, w, next, sums);
        else amx_1x2(s, in, t, w, next, sums);
        for (int j = 0; j < here; j++)
            write_tile(s, sums + j * s->rows * 2 * LANES, to + j * s->rows, first, 2, out, residual);
    }
}

#endif
