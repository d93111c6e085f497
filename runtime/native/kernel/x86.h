/* Instruction sets of the x86-64 files: each function names what it needs, since one library serves all processors. */

#ifndef DANDELION_KERNEL_X86_H
#define DANDELION_KERNEL_X86_H

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8")))

#endif
