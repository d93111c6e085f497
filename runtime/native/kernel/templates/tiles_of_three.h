/* Tiles of one to three rows and all outputs of a block (templates/tile.h), which may be the second half of a group. */

TARGET INLINE void sums_of(int rows, const Step *s, const Part *part, const int32_t *list, const int32_t *from,
                           int32_t *sums) {
    const int8_t *const w = part->weights + part->first % GROUP * UNIT_BYTES;
    switch (rows) {
    case 1: multiply_tile(1, MAX_VECTORS, s, part->in, from, w, list, sums); break;
    case 2: multiply_tile(2, MAX_VECTORS, s, part->in, from, w, list, sums); break;
    default: multiply_tile(3, MAX_VECTORS, s, part->in, from, w, list, sums); break;
    }
}
