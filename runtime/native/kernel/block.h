/* A block of a convolution: the sums of one tile, then each row's bytes. A file that includes it has defined:

   TARGET, ROWS, WIDTH                            attribute; rows of a tile and outputs of a block at most
   sums_of(rows, s, part, list, from, sums)       the sums [rows][WIDTH] of a tile
   finish(q, sums, count, out, residual)          `count` sums of one row to bytes */

TARGET static void convolve(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[ROWS * WIDTH];
    const Part part = part_of(s, job, (BlockShape){1, WIDTH}, i);
    const int32_t *const list = list_of(s, job, i, part.tile);
    const int32_t *const to = s->output_offsets + part.tile * s->rows;
    sums_of(s, &part, list, s->input_offsets + part.tile * s->rows, sums);
    const Requantizing q = requantizing(s, part.first);
    for (int r = 0; r < s->rows; r++) {
        if (to[r] < 0) continue;
        const size_t at = (size_t)to[r] + part.first;
        finish(&q, sums + r * WIDTH, part.outputs, part.out + at, part.residual ? part.residual + at : NULL);
    }
}

static BlockShape one_tile(const Step *s) {
    (void)s;
    return (BlockShape){1, WIDTH};
}
