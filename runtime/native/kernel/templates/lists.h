/* Activation sparsity: each tile's list of the steps of the reduction in which some activation of its rows is not 0.

   A file that includes it has defined TARGET, MOST_ROWS, PRODUCTS, and

   Chunk                  a vector of 16 activations
   load_chunk(p)          16 activations: 16 / PRODUCTS steps, or one step of 16 products
   nonzero_steps(chunk)   a bit for each of PRODUCTS activations that are not all 0

   and where the weights have a zero point ROW_SUMS, RowSum, add_chunk(sum, chunk) and total(sum): the sum of each row's
   activations is behind the list. */

#include "../internal.h"

typedef int32_t Four __attribute__((vector_size(16), aligned(4)));

/* The numbers of the bits that are set, in their order, and how many they are. */
static const Four NUMBERS[16] = {
    {0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {2, 0, 0, 0}, {0, 2, 0, 0}, {1, 2, 0, 0}, {0, 1, 2, 0},
    {3, 0, 0, 0}, {0, 3, 0, 0}, {1, 3, 0, 0}, {0, 1, 3, 0}, {2, 3, 0, 0}, {0, 2, 3, 0}, {1, 2, 3, 0}, {0, 1, 2, 3},
};
static const uint8_t COUNTS[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

/* Append the steps from `first` on whose bit in `wanted` is set; four integers are written, however few count. */
TARGET INLINE int32_t *append(int32_t *list, int first, unsigned wanted) {
    *(Four *)list = NUMBERS[wanted & 15] + first;
    return list + COUNTS[wanted & 15];
}

/* The list's length is its first integer, and even: a step without weights is added. */
TARGET INLINE void build(const Step *s, const uint8_t *const *row, const int rows, const int steps, int32_t *list) {
    const int last = steps * s->k_steps;
    const int32_t *offsets = s->k_offsets;
#ifdef ROW_SUMS
    RowSum sums[MOST_ROWS] = {0};
#endif
    int32_t *next = list + 1;
    for (int first = 0; first < last; first += steps, offsets++) {
        Chunk any = {0};
        for (int r = 0; r < rows; r++) {
            const Chunk chunk = load_chunk(row[r] + *offsets);
#ifdef ROW_SUMS
            sums[r] = add_chunk(sums[r], chunk);
#endif
            any |= chunk;
        }
        const unsigned wanted = nonzero_steps(any);
        if (steps == 1) {
            *next = first;
            next += wanted != 0;
        } else {
            for (int part = 0; part < steps; part += 4) next = append(next, first + part, wanted >> part);
        }
    }
    const int count = (int)(next - list) - 1;
    *next = last;
    list[0] = count + count % 2;
#ifdef ROW_SUMS
    for (int r = 0; r < rows; r++) list[s->list_capacity - MOST_ROWS + r] = total(sums[r]);
#endif
}

TARGET static void build_nonzero_list(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *lists = (int32_t *)(void *)(job->buffers[s->output] + photo * job->sizes[s->output]);
    const uint8_t *row[MOST_ROWS];
    for (int r = 0; r < s->rows; r++) row[r] = in + s->input_offsets[t * s->rows + r];
    int32_t *const list = lists + (size_t)t * s->list_capacity;
    if (s->rows == MOST_ROWS && s->chunk == 1) build(s, row, MOST_ROWS, 1, list);
    else if (s->rows == MOST_ROWS) build(s, row, MOST_ROWS, 16 / PRODUCTS, list);
    else if (s->chunk == 1) build(s, row, s->rows, 1, list);
    else build(s, row, s->rows, 16 / PRODUCTS, list);
}
