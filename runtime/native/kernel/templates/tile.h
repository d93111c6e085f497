/* The microkernel's loop: the sums of one tile and of a block's outputs, in registers. The same for all instruction sets that
   multiply by vectors; a file that includes it has defined the inner block:

   TARGET, ROWS           attribute of the functions; rows of a tile at most
   Sums, VECTOR           a vector of 32-bit sums, and how many outputs it holds
   Activations, Weights   vectors of what is multiplied
   STEP_BYTES, UNIT_BYTES of the weights of a step: of 32 outputs, and of one
   initial_sums(s, list, r) what the sums of a row begin with
   UNROLL                 steps of a turn of the loop: 1, or 2, since a list has an even length
   broadcast(p, at)       a row's activations of a step, for all outputs
   load_weights(w)        the weights of VECTOR outputs
   multiply(sums, a, w)   sums + a * w
   pin(&sums)             an empty instruction that needs them: else the compiler loads far ahead, and spills
   KEPT, multiply_kept(&sums, a, w)
                          or neither: where the registers do not suffice, the vector of the first row whose sums stay in
                          memory, so that the compiler does not choose to move others to and fro
   AHEAD, prefetch(w)     or neither: how many steps ahead weights are prefetched into the second-level cache, where a
                          layer has many of them: the processor's own prefetcher does not follow a list that skips

   `vectors` is how many of them hold the outputs; rows and vectors are constants where it is called. */

#ifdef AHEAD
#define CACHE_LINE 64
#define FAR_BYTES (1 << 20) /* of a layer's weights: as much as a second-level cache holds, or half of it */

TARGET INLINE void prefetch_step(const int vectors, const Step *s, const int8_t *w, size_t k) {
#pragma clang loop unroll(full)
    for (int at = 0; at < vectors * VECTOR * UNIT_BYTES; at += CACHE_LINE)
        prefetch(w + k * STEP_BYTES + at / STEP_BYTES * (size_t)s->group_bytes + at % STEP_BYTES);
}
#endif

/* Multiplies the steps of the list up to `end`, and returns that; `far` says whether weights are prefetched. `kept` are the
   sums in memory. */
TARGET INLINE const int32_t *multiply_steps(const int rows, const int vectors, const int far, const Step *s,
                                            const uint8_t *const *p, const int8_t *w, const int32_t *list,
                                            const int32_t *end, Sums acc[ROWS][MAX_VECTORS], Sums *kept) {
    (void)far, (void)kept;
    const size_t next = s->group_bytes;
    const int32_t *const offsets = s->k_offsets;
#pragma clang loop unroll(disable) /* unrolled, it would load far ahead and spill what it loaded */
    for (; list < end; list += UNROLL) {
        const size_t steps[2] = {list[0], list[UNROLL - 1]};
#ifdef AHEAD
        if (far)
            for (int half = 0; half < UNROLL; half++) prefetch_step(vectors, s, w, list[AHEAD + half]);
#endif
#pragma clang loop unroll(full)
        for (int half = 0; half < UNROLL; half++) {
            const size_t k = steps[half], at = offsets[k];
            const int8_t *const step = w + k * STEP_BYTES;
            Activations a[ROWS];
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) a[r] = broadcast(p[r], at);
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) {
                const Weights weights = load_weights(step + v * VECTOR / GROUP * next + v * VECTOR % GROUP * UNIT_BYTES);
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++)
#ifdef KEPT
                    if (rows == ROWS && r == 0 && v == KEPT) multiply_kept(kept, a[r], weights);
                    else
#endif
                        acc[r][v] = multiply(acc[r][v], a[r], weights);
                if (v % 2)
                    for (int r = 0; r < rows; r++) pin(&acc[r][v - 1]), pin(&acc[r][v]);
            }
        }
    }
    return list;
}

TARGET INLINE void multiply_tile(const int rows, const int vectors, const Step *s, const uint8_t *in, const int32_t *from,
                                 const int8_t *w, const int32_t *list, int32_t *sums) {
    const uint8_t *p[ROWS];
    for (int r = 0; r < rows; r++) p[r] = in + from[r];
    Sums acc[ROWS][MAX_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) acc[r][v] = initial_sums(s, list, r);
    Sums kept = initial_sums(s, list, 0);
    const int32_t *const end = list + 1 + *list;
    list++;
#ifdef AHEAD
    if (s->group_bytes / s->lanes * s->outputs >= FAR_BYTES && end - list > AHEAD)
        list = multiply_steps(rows, vectors, 1, s, p, w, list, end - AHEAD, acc, &kept);
#endif
    multiply_steps(rows, vectors, 0, s, p, w, list, end, acc, &kept);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) store_sums(sums + r * WIDTH + v * VECTOR, acc[r][v]);
#ifdef KEPT
    if (rows == ROWS) store_sums(sums + KEPT * VECTOR, kept);
#endif
}
