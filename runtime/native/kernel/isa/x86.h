/* Instruction sets of the x86-64 files: each function names what it needs, since one library serves all processors. */

#ifndef DANDELION_KERNEL_X86_H
#define DANDELION_KERNEL_X86_H

#include <immintrin.h>

#include "../internal.h"

#define WITH(features) __attribute__((target(features)))

/* Four bytes from anywhere, as an integer. */
INLINE int32_t load_32(const uint8_t *at) {
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* How many steps ahead the weights are prefetched (templates/tile.h): about what the third-level cache takes to answer. */
#define AHEAD 64

INLINE void prefetch(const int8_t *w) { _mm_prefetch((const char *)w, _MM_HINT_T1); }

#endif
