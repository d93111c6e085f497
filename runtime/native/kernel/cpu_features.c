/* CPU feature detection: the fastest instruction set that this processor and system have. */

#ifdef __x86_64__

#define _GNU_SOURCE
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api.h"

#define AMX_PERMISSION 18 /* XFEATURE_XTILEDATA, Linux's Documentation/arch/x86/xstate.rst */
#define REQUEST_PERMISSION 0x1023

static uint64_t saved_state(void) { /* which registers the system saves for a thread: XCR0 */
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Asked of the processor itself: an emulator answers for the emulated one. Bits are those of CPUID leaf 7 and of XCR0
   (Intel's Software Developer's Manual, volume 1, chapters 13 and 20). */
int dandelion_best_isa(void) {
    const uint32_t vectors = 1u << 16 | 1u << 30 | 1u << 31, vnni = 1u << 11, tiles = 1u << 24 | 1u << 25;
    const uint64_t vector_state = 0xe6, tile_state = 0x60000;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return ISA_REFERENCE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & vectors) != vectors || !(c & vnni)) return ISA_REFERENCE;
    const uint64_t state = saved_state();
    if ((state & vector_state) != vector_state) return ISA_REFERENCE;
    if ((d & tiles) != tiles || (state & tile_state) != tile_state) return ISA_VNNI;
    /* Linux gives a process its tiles when it asks; all its threads have them then. */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, AMX_PERMISSION) ? ISA_VNNI : ISA_AMX;
}

#else

#include "api.h"

int dandelion_best_isa(void) { return ISA_REFERENCE; }

#endif
