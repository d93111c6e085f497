/* Bilinear resize bit for bit as Pillow's Resample.c (`resize.c` is the same in scalar C), by 16-bit products of taps in pairs.
   The same for all instruction sets; a file that includes it has defined:

   TARGET                      attribute of the functions
   RESIZE                      name of the function that this makes
   LANES_128                   parts of 4 sums in a vector: as many lines go side by side
   Sums                        of one vector: { high, low }
   Weights                     of a pair, for all of a vector
   initial_sums()              rounding, and nothing else
   load_weights(words)         from the `words` of a Pair
   add_pixels(&s, lines, at, w) two pixels of each line
   add_lines(s, upper, lower, w) 16 * LANES_128 bytes of two lines, to VECTORS vectors
   store_bytes(to, s)          16 * LANES_128 bytes of VECTORS vectors: first all that add_pixels gave the first lines

   A weight is at most 2^22: too much for a 16-bit factor. It is high * 2^11 + low, with 0 <= low < 2^11, and both fit. A
   sum is then (the sum of bytes * high) * 2^11 + (the sum of bytes * low), which is exact: weights of an output add up to
   about 2^22, so that no sum exceeds 255 * 2^22, and those of the halves are smaller. */

#define VECTORS 4
#define PIXEL 4
#define CHUNK (16 * LANES_128)      /* bytes */
#define BLOCK (VECTORS * LANES_128) /* lines that are computed together */
#define ROOM 1024                   /* pairs that are prepared together */

/* Two neighbouring inputs of an output: the first of them, and weights of both. One that another pair counts has 0. */
typedef struct {
    int32_t at;
    int16_t words[4]; /* high, high, low, low */
} Pair;

/* Pairs of the output that has most. */
static int pairs_of(const Taps *taps) {
    int most = 1;
    for (int x = 0; x < taps->outputs; x++) most = taps->count[x] > most ? taps->count[x] : most;
    return (most + 1) / 2;
}

/* Pairs of an output; none reaches beyond the last input, of which there are two at least. */
static void prepare(const Taps *taps, int inputs, int x, int pairs, Pair *to) {
    const int32_t *const weights = taps->weights + (size_t)x * taps->max_taps;
    for (int tap = 0; tap < 2 * pairs; tap += 2, to++) {
        const int wanted = taps->first[x] + tap, at = wanted < inputs - 2 ? wanted : inputs - 2;
        *to = (Pair){.at = at};
        for (int i = 0; i < 2; i++) {
            const int t = at + i - taps->first[x];
            const int32_t weight = t >= tap && t < taps->count[x] ? weights[t] : 0;
            to->words[i] = (int16_t)(weight >> LOW_BITS);
            to->words[2 + i] = (int16_t)(weight & ((1 << LOW_BITS) - 1));
        }
    }
}

/* A block of lines, for `outputs` of which the pairs are given. */
TARGET static void along(const uint8_t *const in[BLOCK], uint8_t *const out[BLOCK], const Pair *pair, int pairs, int outputs) {
    for (int x = 0; x < outputs; x++) {
        Sums sums[VECTORS];
        for (int v = 0; v < VECTORS; v++) sums[v] = initial_sums();
        for (const Pair *end = pair + pairs; pair < end; pair++) {
            const Weights weights = load_weights(pair->words);
            for (int v = 0; v < VECTORS; v++) add_pixels(sums + v, in + v * LANES_128, PIXEL * (size_t)pair->at, weights);
        }
        uint8_t pixels[CHUNK];
        store_bytes(pixels, sums);
        for (int line = 0; line < BLOCK; line++)
            memcpy(out[line] + PIXEL * (size_t)x, pixels + (line % LANES_128 * VECTORS + line / LANES_128) * PIXEL, PIXEL);
    }
}

/* [lines][width][4] to [lines][outputs][4]; where lines end within a block, the last is computed several times. */
TARGET static void all_along(const uint8_t *in, int width, int lines, uint8_t *out, const Taps *taps) {
    const int pairs = pairs_of(taps), room = ROOM / pairs;
    Pair prepared[ROOM];
    for (int x = 0; x < taps->outputs; x += room) {
        const int outputs = taps->outputs - x < room ? taps->outputs - x : room;
        for (int i = 0; i < outputs; i++) prepare(taps, width, x + i, pairs, prepared + i * pairs);
        for (int y = 0; y < lines; y += BLOCK) {
            const uint8_t *read[BLOCK];
            uint8_t *made[BLOCK];
            for (int i = 0; i < BLOCK; i++) {
                const size_t line = y + i < lines ? y + i : lines - 1;
                read[i] = in + line * PIXEL * width;
                made[i] = out + PIXEL * (line * taps->outputs + x);
            }
            along(read, made, prepared, pairs, outputs);
        }
    }
}

/* [height][bytes] to [outputs][bytes]; the last chunk of a line overlaps the one before. */
TARGET static void all_down(const uint8_t *in, size_t bytes, int height, uint8_t *out, const Taps *taps) {
    const int pairs = pairs_of(taps);
    Pair prepared[ROOM];
    for (int y = 0; y < taps->outputs; y++, out += bytes) {
        prepare(taps, height, y, pairs, prepared);
        for (size_t next = 0; next < bytes; next += CHUNK) {
            const size_t at = next < bytes - CHUNK ? next : bytes - CHUNK;
            Sums sums[VECTORS];
            for (int v = 0; v < VECTORS; v++) sums[v] = initial_sums();
            for (const Pair *pair = prepared; pair < prepared + pairs; pair++) {
                const uint8_t *const upper = in + pair->at * bytes + at;
                add_lines(sums, upper, upper + bytes, load_weights(pair->words));
            }
            store_bytes(out + at, sums);
        }
    }
}

/* What is too narrow, too low, or has too many taps for the above is left to the reference. */
INLINE int fits(int32_t width, int32_t height, const Taps *across, const Taps *vertical) {
    const int narrower = width < across->outputs ? width : across->outputs;
    return narrower * PIXEL >= CHUNK && height >= 2 && pairs_of(across) <= ROOM && pairs_of(vertical) <= ROOM;
}

TARGET void RESIZE(const uint8_t *in, int32_t width, int32_t height, const Taps *across, const Taps *vertical,
                   int32_t vertical_first, uint8_t *between, uint8_t *out) {
    if (!fits(width, height, across, vertical)) {
        resize_reference(in, width, height, across, vertical, vertical_first, between, out);
    } else if (vertical_first) {
        all_down(in, PIXEL * (size_t)width, height, between, vertical);
        all_along(between, width, vertical->outputs, out, across);
    } else {
        all_along(in, width, height, between, across);
        all_down(between, PIXEL * (size_t)across->outputs, height, out, vertical);
    }
}
