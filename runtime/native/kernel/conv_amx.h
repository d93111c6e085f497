/* Convolution by AMX (TDPBUSD): the sums of up to four tiles times groups of outputs, in tile registers. */

#include "internal.h"
#include "x86.h"

#define PACK (LANES * DEPTH) /* bytes of weights that one TDPBUSD takes */

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

/* Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. */
AMX void amx_configure(int rows) {
    TileConfig config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = i < 6 ? rows : 16;
    }
    _tile_loadconfig(&config);
}

AMX void amx_release(void) { _tile_release(); } /* without tiles, the system switches between threads faster */

#define IN(register, t) _tile_loadd(register, in + s->input_offsets[t] + s->k_offsets[k], s->row_stride)
#define WEIGHTS(register, g) _tile_loadd(register, w + (g) * next + (size_t)k * PACK, 64)
#define OUT(register, t, g, groups) _tile_stored(register, sums + ((t) * s->rows * (groups) + (g)) * LANES, 64 * (groups))

AMX static void amx_2x2(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0); IN(4, t); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        IN(5, t + 1); _tile_dpbusd(2, 5, 6); _tile_dpbusd(3, 5, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2); OUT(2, 1, 0, 2); OUT(3, 1, 1, 2);
}

AMX static void amx_1x2(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0); IN(4, t); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2);
}

AMX static void amx_1x4(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        IN(4, t);
        WEIGHTS(6, 0); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        WEIGHTS(6, 2); _tile_dpbusd(2, 4, 6);
        WEIGHTS(7, 3); _tile_dpbusd(3, 4, 7);
    }
    OUT(0, 0, 0, 4); OUT(1, 0, 1, 4); OUT(2, 0, 2, 4); OUT(3, 0, 3, 4);
}

AMX static void amx_4x1(const Step *s, const uint8_t *in, int t, const int8_t *w, int32_t *sums) {
    const size_t next = 0;
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->k_steps; k++) {
        WEIGHTS(6, 0);
        IN(4, t); _tile_dpbusd(0, 4, 6);
        IN(5, t + 1); _tile_dpbusd(1, 5, 6);
        IN(4, t + 2); _tile_dpbusd(2, 4, 6);
        IN(5, t + 3); _tile_dpbusd(3, 5, 6);
    }
    OUT(0, 0, 0, 1); OUT(1, 1, 0, 1); OUT(2, 2, 0, 1); OUT(3, 3, 0, 1);
}
