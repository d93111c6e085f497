/* AMX's tiles in plain C, for a processor without them: included before the sources (`make kernel KERNEL_FLAGS=-include …`).

   As Intel's Software Developer's Manual says of LDTILECFG, TILELOADD, TILESTORED and TDPBUSD (volume 2). */

#define PLAIN_TILES
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int rows, bytes;
    uint8_t row[16][64];
} PlainTile;

static __thread PlainTile plain[8];

static inline void plain_configure(const void *config) {
    const uint8_t *bytes = config;
    for (int i = 0; i < 8; i++) {
        plain[i].bytes = bytes[16 + 2 * i] | bytes[17 + 2 * i] << 8;
        plain[i].rows = bytes[48 + i];
        memset(plain[i].row, 0, sizeof plain[i].row);
    }
}

static inline void plain_zero(int to) { memset(plain[to].row, 0, sizeof plain[to].row); }

static inline void plain_load(int to, const void *from, size_t distance) {
    plain_zero(to);
    for (int r = 0; r < plain[to].rows; r++)
        memcpy(plain[to].row[r], (const uint8_t *)from + r * distance, plain[to].bytes);
}

static inline void plain_store(int from, void *to, size_t distance) {
    for (int r = 0; r < plain[from].rows; r++)
        memcpy((uint8_t *)to + r * distance, plain[from].row[r], plain[from].bytes);
}

/* sums[m][n] += the products of a row's four bytes k with four weights, for all k */
static inline void plain_products(int sums, int left, int right) {
    for (int m = 0; m < plain[sums].rows; m++) {
        int32_t row[16];
        memcpy(row, plain[sums].row[m], sizeof row);
        for (int k = 0; k < plain[left].bytes / 4; k++)
            for (int n = 0; n < plain[sums].bytes / 4; n++)
                for (int i = 0; i < 4; i++)
                    row[n] += plain[left].row[m][4 * k + i] * (int8_t)plain[right].row[k][4 * n + i];
        memcpy(plain[sums].row[m], row, sizeof row);
    }
}

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbusd
#define _tile_loadconfig plain_configure
#define _tile_release() ((void)0)
#define _tile_zero plain_zero
#define _tile_loadd plain_load
#define _tile_stored plain_store
#define _tile_dpbusd plain_products
