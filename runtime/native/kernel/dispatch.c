/* Dispatch: the functions of each instruction set, and the loop in which threads share a step's blocks. */

#include "internal.h"

static const Variant *const VARIANTS[] = {
    [ISA_REFERENCE] = &REFERENCE,
#if defined(__x86_64__)
    [ISA_SSE4] = &SSE4,
    [ISA_AVX2] = &AVX2,
    [ISA_AVXVNNI] = &AVXVNNI,
    [ISA_VNNI] = &VNNI,
    [ISA_AMX] = &AMX,
#elif defined(__aarch64__)
    [ISA_NEON] = &NEON,
    [ISA_DOTPROD] = &DOTPROD,
    [ISA_I8MM] = &I8MM,
#endif
    [ISA_I8MM + 1] = NULL,
};

static int known(int32_t isa) { return isa >= 0 && isa <= ISA_I8MM && VARIANTS[isa]; }

static const Variant *variant_of(int32_t isa) {
#if defined(__x86_64__)
    if (isa == ISA_AVXVNNI && !encodes_avx_vnni()) return &AVXVNNI_EVEX;
#endif
    return VARIANTS[isa];
}

static int block_count(const Variant *v, const Step *s, const Job *job) {
    if (s->kind != CONVOLUTION && s->kind != WINOGRAD) return s->tiles * job->photos;
    const BlockShape shape = v->shape(s);
    const int across = (s->tiles + shape.tiles - 1) / shape.tiles;
    return across * job->photos * ((s->outputs + shape.outputs - 1) / shape.outputs);
}

/* All steps in their order; each thread takes a share of a step's blocks, and waits until all of them are done. */
void run_steps(const Job *job, Progress *progress) {
    const Variant *const v = variant_of(job->isa);
    int rows = 0; /* that the variant is configured for */
    for (const Step *s = job->steps; s < job->steps + job->count; s++, progress++) {
        Block *const block = v->blocks[s->kind];
        if (!block) continue;
        const int blocks = block_count(v, s, job);
        const int share = job->threads == 1 ? blocks : 1 + blocks / (16 * job->threads);
        int first;
        while ((first = atomic_fetch_add(&progress->next, share)) < blocks) {
            const int last = first + share < blocks ? first + share : blocks;
            if (v->configure && s->kind == CONVOLUTION && s->rows != rows) v->configure(rows = s->rows);
            for (int i = first; i < last; i++) block(s, job, i);
            atomic_fetch_add(&progress->done, last - first);
        }
        for (int spins = 0; atomic_load(&progress->done) < blocks; spins++) spin_wait(spins);
    }
    if (rows) v->release();
}

int dandelion_run(Job *job, ThreadPool *pool) {
    Progress progress[MAX_STEPS];
    if (job->count > MAX_STEPS || !known(job->isa)) return -1;
    for (int i = 0; i < job->count; i++) {
        atomic_init(&progress[i].next, 0);
        atomic_init(&progress[i].done, 0);
    }
    if (pool && pool_run(pool, job, progress)) return 0;
    job->threads = 1;
    run_steps(job, progress);
    return 0;
}

void dandelion_resize(int32_t isa, const uint8_t *in, int32_t width, int32_t height, const Taps *across,
                      const Taps *vertical, int32_t vertical_first, uint8_t *between, uint8_t *out) {
    const Variant *const v = known(isa) ? VARIANTS[isa] : &REFERENCE;
    v->resize(in, width, height, across, vertical, vertical_first, between, out);
}
