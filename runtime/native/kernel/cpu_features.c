/* CPU feature detection: which instruction sets this build, processor and system have. */

#define _GNU_SOURCE
#include "internal.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_PERMISSION 18 /* XFEATURE_XTILEDATA, Linux's Documentation/arch/x86/xstate.rst */
#define REQUEST_PERMISSION 0x1023

#define BIT(n) (1u << (n))

/* Registers of CPUID that name instruction sets, and XCR0: which registers the system saves for a thread. */
typedef struct {
    uint32_t c1, b7, c7, d7, a71;
    uint64_t saved;
} Features;

/* Asked of the processor itself: an emulator answers for the emulated one (Intel's Software Developer's Manual, volume 2,
   CPUID; volume 1, chapter 13). */
static Features features(void) {
    Features f = {0};
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) f.c1 = c;
    if (f.c1 & bit_OSXSAVE) {
        uint32_t low, high;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        f.saved = (uint64_t)high << 32 | low;
    }
    if (__get_cpuid_count(7, 0, &a, &f.b7, &f.c7, &f.d7) && a >= 1) __get_cpuid_count(7, 1, &f.a71, &b, &c, &d);
    return f;
}

static int has_all(uint32_t found, uint32_t wanted) { return (found & wanted) == wanted; }

/* Linux gives a process its tiles when it asks; all its threads have them then. */
static int tiles_permitted(void) { return !syscall(SYS_arch_prctl, REQUEST_PERMISSION, AMX_PERMISSION); }

/* The answer is kept: a virtual machine takes microseconds for CPUID. */
int encodes_avx_vnni(void) {
    static atomic_int known; /* 0: not yet, 1: no, 2: yes */
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = 1 + has_all(features().a71, BIT(4));
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found - 1;
}

int dandelion_has_isa(int32_t isa) {
    const Features f = features();
    const int avx2 = (f.saved & 0x6) == 0x6 && has_all(f.b7, BIT(5)) && has_all(f.c1, BIT(12) | BIT(28)); /* and FMA */
    const int vnni = avx2 && (f.saved & 0xe6) == 0xe6 && has_all(f.b7, BIT(16) | BIT(30) | BIT(31)) && has_all(f.c7, BIT(11));
    switch (isa) {
    case ISA_REFERENCE: return 1;
    case ISA_SSE4: return has_all(f.c1, BIT(9) | BIT(19)); /* SSSE3 and SSE4.1 */
    case ISA_AVX2: return avx2;
    case ISA_AVXVNNI: return vnni || (avx2 && has_all(f.a71, BIT(4)));
    case ISA_VNNI: return vnni;
    case ISA_AMX: return vnni && has_all(f.d7, BIT(24) | BIT(25)) && (f.saved & 0x60000) == 0x60000 && tiles_permitted();
    default: return 0;
    }
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

/* Linux's Documentation/arch/arm64/elf_hwcaps.rst */
#define HAS_DOTPROD (1ul << 20) /* of AT_HWCAP */
#define HAS_I8MM (1ul << 13)    /* of AT_HWCAP2 */

int dandelion_has_isa(int32_t isa) {
    switch (isa) {
    case ISA_REFERENCE:
    case ISA_NEON: return 1; /* part of every ARM64 */
    case ISA_DOTPROD: return (getauxval(AT_HWCAP) & HAS_DOTPROD) != 0;
    case ISA_I8MM: return (getauxval(AT_HWCAP2) & HAS_I8MM) != 0;
    default: return 0;
    }
}

#else

int dandelion_has_isa(int32_t isa) { return isa == ISA_REFERENCE; }

#endif
