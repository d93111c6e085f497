/* A block of a convolution: the sums of one tile, then each row's bytes. A file that includes it has defined:

   TARGET, ROWS, WIDTH                            attribute; rows of a tile and outputs of a block at most
   sums_of(rows, s, part, list, from, sums)       the sums [rows][WIDTH] of a tile of so many rows
   finish(q, sums, count, out, residual)          `count` sums of one row to bytes */

TARGET static void convolve(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[ROWS * WIDTH];
    const Part part = part_of(s, job, (BlockShape){1, WIDTH}, i);
    const int32_t *const list = list_of(s, job, i, part.tile);
    const int32_t *const to = s->output_offsets + part.tile * s->rows;
    int rows = s->rows;
    while (rows > 1 && to[rows - 1] < 0) rows--; /* the last tile may have fewer */
    sums_of(rows, s, &part, list, s->input_offsets + part.tile * s->rows, sums);
    const Requantizing q = requantizing(s, part.first);
    const int outputs = WIDTH <= GROUP ? WIDTH : part.outputs;
    uint8_t *const out = part.out + part.first;
    if (part.residual)
        for (int r = 0; r < rows; r++)
            finish(&q, sums + r * WIDTH, outputs, out + to[r], part.residual + part.first + to[r]);
    else
        for (int r = 0; r < rows; r++) finish(&q, sums + r * WIDTH, outputs, out + to[r], NULL);
}

static BlockShape one_tile(const Step *s) {
    (void)s;
    return (BlockShape){1, WIDTH};
}
