/* Dispatch: the function for each step and instruction set, and the loop in which threads share a step's blocks. */

#include "internal.h"

static Block *const REFERENCE[] = {
    [SPACE_TO_DEPTH] = space_to_depth,
    [CONVOLUTION] = convolve_reference,
    [MAX_POOLING] = max_pool_reference,
    [CLASS_SCORES] = class_scores_reference,
    [BUILD_NONZERO_LIST] = build_nonzero_list_reference,
};

#ifdef __x86_64__
static Block *const X86[] = {
    [SPACE_TO_DEPTH] = space_to_depth,
    [CONVOLUTION] = convolve_x86,
    [MAX_POOLING] = max_pool_avx512,
    [CLASS_SCORES] = class_scores_avx512,
    [BUILD_NONZERO_LIST] = build_nonzero_list_avx512,
};
static Block *const *const VARIANTS[] = {[ISA_VNNI] = X86, [ISA_AMX] = X86, [ISA_REFERENCE] = REFERENCE};
#else
static Block *const *const VARIANTS[] = {[ISA_REFERENCE] = REFERENCE};
static void amx_configure(int rows) { (void)rows; }
static void amx_release(void) {}
#endif

static int block_count(const Step *s, const Job *job) {
    if (s->kind != CONVOLUTION) return s->tiles * job->photos;
    const BlockShape shape = block_shape(s, job->isa == ISA_AMX);
    return (s->tiles + shape.tiles - 1) / shape.tiles * job->photos * (s->outputs / (LANES * shape.groups));
}

/* All steps in their order; each thread takes a share of a step's blocks, and waits until all of them are done. */
void run_steps(const Job *job, Progress *progress) {
    int rows = 0; /* that the AMX tiles are configured for */
    for (const Step *s = job->steps; s < job->steps + job->count; s++, progress++) {
        Block *const block = VARIANTS[job->isa][s->kind];
        const int blocks = block_count(s, job);
        const int share = job->threads == 1 ? blocks : 1 + blocks / (16 * job->threads);
        int first;
        while ((first = atomic_fetch_add(&progress->next, share)) < blocks) {
            const int last = first + share < blocks ? first + share : blocks;
            if (s->kind == CONVOLUTION && job->isa == ISA_AMX && s->rows != rows) amx_configure(rows = s->rows);
            for (int i = first; i < last; i++) block(s, job, i);
            atomic_fetch_add(&progress->done, last - first);
        }
        for (int spins = 0; atomic_load(&progress->done) < blocks; spins++) spin_wait(spins);
    }
    if (rows) amx_release();
}

int dandelion_run(Job *job, ThreadPool *pool) {
    Progress progress[MAX_STEPS];
    if (job->count > MAX_STEPS || job->isa < 0 || job->isa > ISA_REFERENCE || !VARIANTS[job->isa]) return -1;
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
#ifdef __x86_64__
    Resize *const resize = isa == ISA_REFERENCE ? resize_reference : resize_avx512;
#else
    (void)isa;
    Resize *const resize = resize_reference;
#endif
    resize(in, width, height, across, vertical, vertical_first, between, out);
}
