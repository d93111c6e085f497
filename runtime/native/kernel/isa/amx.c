/* AMX (TDPBUSD): the sums of up to four tiles times groups of outputs, in tile registers. */

#ifdef __x86_64__

#include "x86.h"

#define TARGET WITH("avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8")
#define PACK (LANES * 64) /* bytes of weights that one TDPBUSD takes */

#include "finish_avx512.h"
#include "layers_avx512.h"
#include "../resize.h"

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

/* Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. */
TARGET static void configure(int rows) {
    TileConfig config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = i < 6 ? rows : 16;
    }
    _tile_loadconfig(&config);
}

TARGET static void release(void) { _tile_release(); } /* without tiles, the system switches between threads faster */

#define IN(register, t) _tile_loadd(register, in + from[t] + s->k_offsets[k], s->row_stride)
#define WEIGHTS(register, g) _tile_loadd(register, w + (g) * next + (size_t)k * PACK, 64)
#define OUT(register, t, g, groups) _tile_stored(register, sums + ((t) * s->rows * (groups) + (g)) * LANES, 64 * (groups))

#define ARGUMENTS const Step *s, const uint8_t *in, const int32_t *from, const int8_t *w, size_t next, int32_t *sums

TARGET static void amx_2x2(ARGUMENTS) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0); IN(4, 0); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        IN(5, 1); _tile_dpbusd(2, 5, 6); _tile_dpbusd(3, 5, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2); OUT(2, 1, 0, 2); OUT(3, 1, 1, 2);
}

TARGET static void amx_1x2(ARGUMENTS) {
    _tile_zero(0); _tile_zero(1);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0); IN(4, 0); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2);
}

TARGET static void amx_1x4(ARGUMENTS) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        IN(4, 0);
        WEIGHTS(6, 0); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        WEIGHTS(6, 2); _tile_dpbusd(2, 4, 6);
        WEIGHTS(7, 3); _tile_dpbusd(3, 4, 7);
    }
    OUT(0, 0, 0, 4); OUT(1, 0, 1, 4); OUT(2, 0, 2, 4); OUT(3, 0, 3, 4);
}

TARGET static void amx_4x1(ARGUMENTS) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0);
        IN(4, 0); _tile_dpbusd(0, 4, 6);
        IN(5, 1); _tile_dpbusd(1, 5, 6);
        IN(4, 2); _tile_dpbusd(2, 4, 6);
        IN(5, 3); _tile_dpbusd(3, 5, 6);
    }
    OUT(0, 0, 0, 1); OUT(1, 1, 0, 1); OUT(2, 2, 0, 1); OUT(3, 3, 0, 1);
}

/* Few tiles mean that reading the weights decides, so a block takes more of either. */
static BlockShape shape(const Step *s) {
    if (s->tiles == 1 && s->outputs % (4 * LANES) == 0) return (BlockShape){1, 4 * LANES};
    if (s->tiles == 4) return (BlockShape){4, LANES};
    return (BlockShape){2, 2 * LANES};
}

TARGET static void convolve(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[4 * 16 * LANES];
    const Part part = part_of(s, job, shape(s), i);
    const int32_t *const from = s->input_offsets + part.tile;
    const size_t next = s->group_bytes;
    if (part.outputs == 4 * LANES) amx_1x4(s, part.in, from, part.weights, next, sums);
    else if (part.tiles == 4) amx_4x1(s, part.in, from, part.weights, next, sums);
    else if (part.tiles == 2) amx_2x2(s, part.in, from, part.weights, next, sums);
    else amx_1x2(s, part.in, from, part.weights, next, sums);
    const int width = part.outputs;
    const Requantizing q = requantizing(s, part.first);
    for (int r = 0; r < part.tiles * s->rows; r++) {
        const int32_t to = s->output_offsets[part.tile * s->rows + r];
        if (to < 0) continue;
        const size_t at = (size_t)to + part.first;
        finish(&q, sums + r * width, width, part.out + at, part.residual ? part.residual + at : NULL);
    }
}

const Variant AMX = {
    .blocks = {space_to_depth, convolve, max_pool_avx512, class_scores, build_nonzero_list},
    .shape = shape,
    .resize = resize_avx2,
    .configure = configure,
    .release = release,
};

#endif
