/* Winograd's minimal filtering: a convolution of stride 1 by products at the places of a patch (Lavin and Gray,
   https://arxiv.org/abs/1509.09308). With a kernel of 3 x 3 they are 16 for 2 x 2 outputs and 36 for 4 x 4, where the direct
   one takes 36 and 144; with one of 4 x 4, 36 for 144. Exact: all is done in integers, multiplied by 4 or 576 in all. What
   is transformed fits 16 bits, and all that follows is done modulo 2^32, where the sum that comes out is the right one
   (runtime/native/winograd.py has the matrices, and proves both).

   A file that includes it has defined what templates/tile.h and templates/block.h take, and

   Channels, load_channels(p)      eight channels of a patch at `p`, which are units of PRODUCTS channels
   broadcast_unit(c, k)            that of a number of these units, for all outputs
   multiply_unit(sums, a, w, last) sums + a * w, for the weights of VECTOR outputs in memory; `last` if `a` may be lost
   WINOGRAD_ROWS, WINOGRAD_VECTORS tiles that are multiplied together, 3 or 6, and vectors that hold the outputs of a block;
                                   or neither, and they are those of templates/tile.h
   FUSED_CHANNELS                  or not: with several threads each block transforms its own patches, of so many channels at
                                   most, in place of WINOGRAD_INPUT. What one core of a server has written another reads slowly */

#ifndef WINOGRAD_ROWS
#define WINOGRAD_ROWS ROWS
#define WINOGRAD_VECTORS MAX_VECTORS
#endif
#define OUTPUTS (WINOGRAD_VECTORS * VECTOR) /* of a block */
#define PATCH 6          /* of a side at most */
#define TOGETHER 6       /* tiles of a block: the weights of a place of the patch are read once for all of them */
#define TURN 8           /* channels that are loaded together */
#define OUTPUT_BYTES (2 * PRODUCTS) /* of the weights of a unit: of one output, and of a group */
#define WEIGHT_BYTES (OUTPUT_BYTES * GROUP)

typedef uint8_t Bytes __attribute__((vector_size(2 * VECTOR), aligned(1)));
typedef uint16_t Halves __attribute__((vector_size(4 * VECTOR)));
typedef uint16_t Stored __attribute__((vector_size(4 * VECTOR), aligned(2)));
typedef uint32_t Words __attribute__((vector_size(4 * VECTOR)));
typedef int32_t SignedWords __attribute__((vector_size(4 * VECTOR)));

/* One line of a patch: B^T d. */
TARGET INLINE void transform_input(const int patch, const Halves *d, Halves *to, const int apart) {
    if (patch == 4) {
        to[0] = d[0] - d[2], to[apart] = d[1] + d[2], to[2 * apart] = d[2] - d[1], to[3 * apart] = d[1] - d[3];
        return;
    }
    const Halves a = d[4] - (d[2] << 2), b = d[3] - (d[1] << 2), c = d[4] - d[2], e = (d[3] - d[1]) << 1;
    to[0] = c + ((d[0] - d[2]) << 2), to[apart] = a + b, to[2 * apart] = a - b;
    to[3 * apart] = c + e, to[4 * apart] = c - e, to[5 * apart] = d[5] - d[3] - (e << 1);
}

/* One line of sums: A^T m. */
TARGET INLINE void transform_output(const int side, const Words *m, Words *to, const int apart) {
    if (side == 2) {
        to[0] = m[0] + m[1] + m[2], to[apart] = m[1] - m[2] - m[3];
        return;
    }
    const Words u = m[1] + m[2], v = m[1] - m[2], p = m[3] + m[4], q = m[3] - m[4];
    to[0] = m[0] + u + p, to[apart] = v + (q << 1), to[2 * apart] = u + (p << 2);
    if (side == 3) to[2 * apart] += m[5] << 1;
    else to[3 * apart] = v + (((q << 2) + m[5]) << 1);
}

TARGET INLINE void transform_patch(const int patch, const Step *s, const uint8_t *in, int16_t *out) {
    for (int c = 0; c < s->channels; c += 2 * VECTOR) {
        Halves lines[PATCH * PATCH];
        for (int x = 0; x < patch; x++) {
            Halves column[PATCH];
            for (int y = 0; y < patch; y++)
                column[y] = __builtin_convertvector(*(const Bytes *)(in + s->k_offsets[y] + x * s->row_stride + c), Halves);
            transform_input(patch, column, lines + x, patch);
        }
        for (int y = 0; y < patch; y++) {
            Halves line[PATCH];
            transform_input(patch, lines + y * patch, line, 1);
            for (int x = 0; x < patch; x++) *(Stored *)(out + (y * patch + x) * s->channels + c) = line[x];
        }
    }
}

/* The patch of tile `t`, transformed: s is WINOGRAD_INPUT. */
TARGET INLINE void transform_tile(const Step *s, const Job *job, int photo, int t, int16_t *out) {
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    if (s->side == 2) transform_patch(4, s, in, out);
    else transform_patch(6, s, in, out);
}

#ifdef FUSED_CHANNELS
#define ROOM (PATCH * PATCH * TOGETHER * FUSED_CHANNELS)
#define IS_FUSED(s, job) ((job)->threads > 1 && (s)->channels <= FUSED_CHANNELS)
#else
#define ROOM 1
#define IS_FUSED(s, job) 0
#endif

TARGET static void winograd_input(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    if (!IS_FUSED(s, job))
        transform_tile(s, job, photo, t, transformed(s, job->buffers[s->output] + photo * job->sizes[s->output], t));
}

/* Transformed patches of a block's tiles, [tiles][places of a patch][channels]: in memory, or made in `room`. */
TARGET INLINE const int16_t *patches_of(const Step *s, const Job *job, const Part *part, int16_t *room) {
    if (!IS_FUSED(s, job)) return transformed(s, job->buffers[s->input] + part->photo * job->sizes[s->input], part->tile);
    const size_t next = (size_t)patch_of(s->side) * patch_of(s->side) * s->channels;
    for (int t = 0; t < part->tiles; t++) transform_tile(s - 1, job, part->photo, part->tile + t, room + t * next);
    return room;
}

/* A few units of channels of each row times their weights. */
TARGET INLINE void multiply_few(const int rows, const int units, const int16_t *in, size_t next, const int8_t *w,
                                Sums acc[WINOGRAD_ROWS][WINOGRAD_VECTORS]) {
    Channels channels[WINOGRAD_ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) channels[r] = load_channels(in + r * next);
#pragma clang loop unroll(full)
    for (int k = 0; k < units; k++) {
        Activations a[WINOGRAD_ROWS];
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) a[r] = broadcast_unit(channels[r], k);
#pragma clang loop unroll(full)
        for (int v = 0; v < WINOGRAD_VECTORS; v++) {
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++)
                acc[r][v] =
                    multiply_unit(acc[r][v], a[r], w + k * WEIGHT_BYTES + v * OUTPUT_BYTES * VECTOR, v == WINOGRAD_VECTORS - 1);
            if (v % 2)
                for (int r = 0; r < rows; r++) pin(&acc[r][v - 1]), pin(&acc[r][v]);
        }
    }
}

/* The sums [rows][OUTPUTS] of one place of the patches of so many tiles; `units` are a multiple of four channels. */
TARGET INLINE void multiply_units(const int rows, int units, const int16_t *in, size_t next, const int8_t *w, int32_t *sums) {
    const int many = TURN / PRODUCTS;
    Sums acc[WINOGRAD_ROWS][WINOGRAD_VECTORS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < WINOGRAD_VECTORS; v++) acc[r][v] = initial_sums(NULL, NULL, r);
#pragma clang loop unroll(disable) /* as in templates/tile.h */
    for (; units >= many; units -= many, in += TURN, w += many * WEIGHT_BYTES) multiply_few(rows, many, in, next, w, acc);
    if (units) multiply_few(rows, many / 2, in, next, w, acc);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < WINOGRAD_VECTORS; v++) store_sums(sums + r * OUTPUTS + v * VECTOR, acc[r][v]);
}

/* A tile's sums [patch][patch][TOGETHER][OUTPUTS] as those of its outputs, [side][side][OUTPUTS]. */
TARGET INLINE void transform_sums(const int side, const int32_t *sums, int32_t *out) {
    const int patch = patch_of(side);
    for (int v = 0; v < OUTPUTS; v += VECTOR) {
        Words lines[PATCH * PATCH];
        for (int x = 0; x < patch; x++) {
            Words column[PATCH];
            for (int y = 0; y < patch; y++) column[y] = *(const Words *)(sums + (y * patch + x) * TOGETHER * OUTPUTS + v);
            transform_output(side, column, lines + x, patch);
        }
        for (int y = 0; y < side; y++) {
            Words line[PATCH];
            transform_output(side, lines + y * patch, line, 1);
            for (int x = 0; x < side; x++) {
                const SignedWords sum = side == 2 ? (SignedWords)line[x] >> 2 : (SignedWords)(line[x] * NINTH) >> 6;
                *(SignedWords *)(out + (y * side + x) * OUTPUTS + v) = sum;
            }
        }
    }
}

#define COUNT(r) \
    case r: multiply_units(r, s->k_steps, from, next, w, to); break;
#if WINOGRAD_ROWS == 6
#define EACH_COUNT COUNT(1) COUNT(2) COUNT(3) COUNT(4) COUNT(5) COUNT(6)
#else
#define EACH_COUNT COUNT(1) COUNT(2) COUNT(3)
#endif

/* A block: some tiles of one photo, and a group of outputs. */
TARGET static void winograd(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[PATCH * PATCH * TOGETHER * OUTPUTS], out[(PATCH - 2) * (PATCH - 2) * OUTPUTS];
    _Alignas(64) int16_t room[ROOM];
    const Part part = part_of(s, job, (BlockShape){TOGETHER, OUTPUTS}, i);
    const int places = patch_of(s->side) * patch_of(s->side), outputs = s->side * s->side;
    const int16_t *in = patches_of(s, job, &part, room);
    const size_t next = (size_t)places * s->channels; /* from one tile to the next */
    const int8_t *w = part.weights + part.first % GROUP * OUTPUT_BYTES;
    for (int p = 0; p < places; p++, in += s->channels, w += (size_t)s->k_steps * WEIGHT_BYTES) {
        int32_t *to = sums + p * TOGETHER * OUTPUTS;
        const int16_t *from = in;
        for (int left = part.tiles; left > 0; left -= WINOGRAD_ROWS) {
            switch (left < WINOGRAD_ROWS ? left : WINOGRAD_ROWS) { EACH_COUNT }
            from += WINOGRAD_ROWS * next, to += WINOGRAD_ROWS * OUTPUTS;
        }
    }
    const Requantizing q = requantizing(s, part.first);
    const int32_t *to = s->output_offsets + part.tile * outputs;
    for (int t = 0; t < part.tiles; t++, to += outputs) {
        if (s->side == 2) transform_sums(2, sums + t * OUTPUTS, out);
        else if (s->side == 3) transform_sums(3, sums + t * OUTPUTS, out);
        else transform_sums(4, sums + t * OUTPUTS, out);
        for (int o = 0; o < outputs; o++) {
            if (to[o] < 0) continue; /* another tile has it */
            uint8_t *const bytes = part.out + part.first + to[o];
            if (part.residual) finish(&q, out + o * OUTPUTS, OUTPUTS, bytes, part.residual + part.first + to[o]);
            else finish(&q, out + o * OUTPUTS, OUTPUTS, bytes, NULL);
        }
    }
}

static BlockShape block_shape(const Step *s) {
    return s->kind == WINOGRAD ? (BlockShape){TOGETHER, OUTPUTS} : one_tile(s);
}
