/* Bilinear resize of each instruction set; `resize_reference` is in internal.h. */

#ifndef DANDELION_KERNEL_RESIZE_H
#define DANDELION_KERNEL_RESIZE_H

#include "internal.h"

#define LOW_BITS 11 /* of a weight, in the lower of its halves (resize/pairs.h) */

Resize resize_sse4, resize_avx2, resize_neon;

#endif
