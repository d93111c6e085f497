/* AVX-VNNI's functions in the encoding of AVX-512 VL (EVEX), for processors that have only that: Ice Lake, Zen 4. */

#define EVEX
#include "avxvnni.c"
