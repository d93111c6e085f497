/* INT8 inference of a residual network on x86-64, by VNNI or by AMX: what `runtime/native` lays out, this computes.

   A convolution is a matrix product without a copied matrix (im2col): activations lie as bytes [place][channel] with a
   border around the picture, so that the inputs of neighbouring outputs are rows at one distance, wherever the kernel
   points. A tile is up to 16 such rows with AMX, up to 6 pairs of them with VNNI. Weights are packed as [16 outputs] x
   [steps], the order that VPDPBUSD and TDPBUSD both read; a step is what one of these takes, 4 products or 64. No
   inference allocates, and no offset comes from a request: all are the plan's.

   What is 0 adds nothing. After their rectifiers half of a network's activations are, and deep in it most of them. With
   VNNI each tile of the wider layers takes the steps alone in which one of its rows has something. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LANES 16           /* output channels of a group: one vector of 32-bit sums */
#define DEPTH 64           /* products of a step with AMX */
#define CACHE_LINE 64
#define PACK (LANES * DEPTH)
#define QUAD (LANES * 4)   /* bytes of weights that one VPDPBUSD takes */
#define VNNI_ROWS 12       /* rows of a tile without AMX: 24 sums, 2 weights, 1 activation in 32 registers */
#define AMX_PERMISSION 18  /* XFEATURE_XTILEDATA, Linux's Documentation/arch/x86/xstate.rst */
#define REQUEST_PERMISSION 0x1023
#define PATIENCE 4000      /* looks at a step that another thread still works on, before the core is offered */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8")))
#define INLINE static inline __attribute__((always_inline))

enum { BLOCKS, CONVOLUTION, POOLING, EVIDENCE, LISTING };

/* One layer. `from` and `to` are byte offsets in its input and output: of each tile (with VNNI: of each two rows of each
   tile), and of each row of each tile (-1: a row that nobody needs). */
typedef struct {
    int32_t kind, input, output, residual;  /* buffers; residual is -1 where none is added */
    int32_t channels, outputs, steps, distance; /* distance: bytes between the inputs of two rows */
    int32_t tiles, rows, group_bytes;       /* group_bytes: the weights of 16 outputs */
    int32_t list, list_room;                /* a buffer with a tile's list in each `list_room` integers; -1: none */
    int32_t zero_point, photo_floats;       /* photo_floats: of EVIDENCE, a photo's share of the result */
    float scale_own, scale_residual, shift; /* of the addition: own * a + residual * b + shift */
    const int32_t *offsets;                 /* [steps]: from a row's input to those of a step */
    const int32_t *every;                   /* the list that holds every step, with VNNI */
    const int32_t *from, *to;
    const int8_t *weights;
    const int32_t *bias;
    const float *scale;                     /* [outputs]; of EVIDENCE the weights [outputs][channels] */
} Step;

typedef struct {
    const Step *steps;
    int32_t count, photos, amx, threads;
    const uint8_t *pixels;   /* [photos][height][width][3] */
    size_t photo_bytes;
    uint8_t *const *buffers; /* each holds all photos, `sizes` bytes a photo */
    const size_t *sizes;
    float *evidence;         /* [photos][classes][places] */
} Job;

typedef struct {
    _Alignas(64) atomic_int next;
    atomic_int done;
} Progress;

/* ------------------------------------------------------------------ from sums to bytes */

/* 16 sums to 16 bytes: quantised as QLinearConv does, then added to the residual as QLinearAdd does. */
VNNI INLINE __m128i finish(const Step *s, __m512i sum, __m512i bias, __m512 scale, const uint8_t *residual) {
    const __m512i zero = _mm512_setzero_si512();
    __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(sum, bias)), scale);
    value = _mm512_min_ps(value, _mm512_set1_ps(511)); /* beyond any byte, and within an integer */
    __m512i byte = _mm512_max_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(value), _mm512_set1_epi32(s->zero_point)), zero);
    if (residual) {
        __m512 own = _mm512_cvtepi32_ps(_mm512_min_epi32(byte, _mm512_set1_epi32(255)));
        __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)residual)));
        value = _mm512_fmadd_ps(other, _mm512_set1_ps(s->scale_residual), _mm512_set1_ps(s->shift));
        value = _mm512_fmadd_ps(own, _mm512_set1_ps(s->scale_own), value);
        value = _mm512_min_ps(value, _mm512_set1_ps(511));
        byte = _mm512_max_epi32(_mm512_cvtps_epi32(value), zero);
    }
    return _mm512_cvtusepi32_epi8(byte);
}

/* Sums [rows][groups][16] of a tile to their places. */
VNNI INLINE void write_tile(const Step *s, const int32_t *sums, const int32_t *to, int first, const int groups,
                            uint8_t *out, const uint8_t *residual) {
    __m512i bias[4];
    __m512 scale[4];
    for (int g = 0; g < groups; g++) {
        bias[g] = _mm512_loadu_si512(s->bias + first + LANES * g);
        scale[g] = _mm512_loadu_ps(s->scale + first + LANES * g);
    }
    for (int r = 0; r < s->rows; r++, sums += groups * LANES) {
        if (to[r] < 0) continue;
        size_t at = (size_t)to[r] + first;
        for (int g = 0; g < groups; g++) {
            __m128i bytes = finish(s, _mm512_load_si512(sums + LANES * g), bias[g], scale[g],
                                   residual ? residual + at + LANES * g : NULL);
            _mm_storeu_si128((__m128i *)(out + at + LANES * g), bytes);
        }
    }
}

/* ------------------------------------------------------------------ products by VNNI: one tile, two groups */

/* Rows come in pairs at `distance`, which lie anywhere. `list` is the number of steps to take, and they; `ahead` are a
   group's weights of a later block, which are fetched meanwhile: two lines a step, since steps are left out. */
VNNI INLINE void vnni(const int rows, const Step *s, const uint8_t *in, const int32_t *from, const int8_t *w,
                      const int8_t *ahead, const int32_t *list, int32_t *sums) {
    const size_t d = s->distance, next = s->group_bytes;
    const int8_t *const last = ahead + next;
    const uint8_t *p[VNNI_ROWS / 2];
    for (int b = 0; b < (rows + 1) / 2; b++) p[b] = in + from[b];
    __m512i acc[VNNI_ROWS][2];
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_si512();
#pragma clang loop unroll(disable) /* unrolled, it would load far ahead and spill what it loaded */
    for (const int32_t *end = list + *list; list < end;) {
        const size_t k = *++list;
        const int8_t *v = w + k * QUAD;
        const __m512i w0 = _mm512_load_si512(v), w1 = _mm512_load_si512(v + next);
        const size_t at = s->offsets[k];
        _mm_prefetch(ahead, _MM_HINT_T1);
        _mm_prefetch(ahead + CACHE_LINE, _MM_HINT_T1);
        ahead += ahead < last ? 2 * CACHE_LINE : 0;
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            const __m512i a = _mm512_set1_epi32(*(const int32_t *)(p[r / 2] + at + r % 2 * d));
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], a, w0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], a, w1);
            __asm__ volatile("" : : "v"(acc[r][0]), "v"(acc[r][1]) : "memory"); /* else it loads far ahead and spills */
        }
    }
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < 2; g++) _mm512_store_si512(sums + (2 * r + g) * LANES, acc[r][g]);
}

VNNI static void vnni_block(const Step *s, const uint8_t *in, int t, const int8_t *w, const int32_t *lists, int32_t *sums) {
    const int32_t *from = s->from + t * ((s->rows + 1) / 2), *list = lists ? lists + t * s->list_room : s->every;
    const int8_t *ahead = t < 2 ? w + (2 + t) * (size_t)s->group_bytes : w; /* else what is there already */
    switch (s->rows) {
#define ROWS(r) case r: vnni(r, s, in, from, w, ahead, list, sums); break;
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)
    }
}

/* Each tile's list of the steps in which not all is 0; `offsets` are of 16 steps each. */
VNNI static void list_steps(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *list = (int32_t *)(job->buffers[s->output] + photo * job->sizes[s->output]) + t * s->list_room, count = 0;
    const int32_t *from = s->from + t * ((s->rows + 1) / 2);
    __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int k = 0; k < s->steps; k++, steps = _mm512_add_epi32(steps, _mm512_set1_epi32(16))) {
        __m512i any = _mm512_setzero_si512();
        for (int r = 0; r < s->rows; r++)
            any = _mm512_or_si512(any, _mm512_loadu_si512(in + from[r / 2] + r % 2 * s->distance + s->offsets[k]));
        const __mmask16 wanted = _mm512_test_epi32_mask(any, any);
        _mm512_storeu_si512(list + 1 + count, _mm512_maskz_compress_epi32(wanted, steps));
        count += __builtin_popcount(wanted);
    }
    list[0] = count;
}

/* ------------------------------------------------------------------ products by AMX: tiles x groups */

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

/* Tiles 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. */
AMX static void configure(int rows) {
    TileConfig config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = i < 6 ? rows : 16;
    }
    _tile_loadconfig(&config);
}

AMX static void release(void) { _tile_release(); } /* the system switches between threads faster without */

#define IN(register, t) _tile_loadd(register, in + s->from[t] + s->offsets[k], s->distance)
#define WEIGHTS(register, g) _tile_loadd(register, w + (g) * next + (size_t)k * PACK, 64)
#define OUT(register, t, g, groups) _tile_stored(register, sums + ((t) * s->rows * (groups) + (g)) * LANES, 64 * (groups))

AMX static void amx_2x2(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->steps; k++) {
        WEIGHTS(6, 0); IN(4, t); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        IN(5, t + 1); _tile_dpbusd(2, 5, 6); _tile_dpbusd(3, 5, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2); OUT(2, 1, 0, 2); OUT(3, 1, 1, 2);
}

AMX static void amx_1x2(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1);
    for (int k = 0; k < s->steps; k++) {
        WEIGHTS(6, 0); IN(4, t); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
    }
    OUT(0, 0, 0, 2); OUT(1, 0, 1, 2);
}

AMX static void amx_1x4(const Step *s, const uint8_t *in, int t, const int8_t *w, size_t next, int32_t *sums) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->steps; k++) {
        IN(4, t);
        WEIGHTS(6, 0); _tile_dpbusd(0, 4, 6);
        WEIGHTS(7, 1); _tile_dpbusd(1, 4, 7);
        WEIGHTS(6, 2); _tile_dpbusd(2, 4, 6);
        WEIGHTS(7, 3); _tile_dpbusd(3, 4, 7);
    }
    OUT(0, 0, 0, 4); OUT(1, 0, 1, 4); OUT(2, 0, 2, 4); OUT(3, 0, 3, 4);
}

AMX static void amx_4x1(const Step *s, const uint8_t *in, int t, const int8_t *w, int32_t *sums) {
    const size_t next = 0;
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (int k = 0; k < s->steps; k++) {
        WEIGHTS(6, 0);
        IN(4, t); _tile_dpbusd(0, 4, 6);
        IN(5, t + 1); _tile_dpbusd(1, 5, 6);
        IN(4, t + 2); _tile_dpbusd(2, 4, 6);
        IN(5, t + 3); _tile_dpbusd(3, 5, 6);
    }
    OUT(0, 0, 0, 1); OUT(1, 1, 0, 1); OUT(2, 2, 0, 1); OUT(3, 3, 0, 1);
}

/* ------------------------------------------------------------------ layers */

/* How many tiles and groups of outputs a block takes: few tiles mean that reading the weights decides. */
typedef struct {
    int tiles, groups;
} Shape;

static Shape shape_of(const Step *s, int amx) {
    if (!amx) return (Shape){1, 2};
    if (s->tiles == 1 && s->outputs % (4 * LANES) == 0) return (Shape){1, 4};
    if (s->tiles == 4) return (Shape){4, 1};
    return (Shape){2, 2};
}

static int blocks_of(const Step *s, const Job *job) {
    if (s->kind != CONVOLUTION) return s->tiles * job->photos;
    Shape shape = shape_of(s, job->amx);
    return (s->tiles + shape.tiles - 1) / shape.tiles * job->photos * (s->outputs / (LANES * shape.groups));
}

/* Block `i` of a convolution; outputs vary slowest, so that one group's weights serve all photos. */
VNNI static void convolve(const Step *s, const Job *job, int i) {
    _Alignas(64) int32_t sums[4 * 16 * LANES];
    const Shape shape = shape_of(s, job->amx);
    const int across = (s->tiles + shape.tiles - 1) / shape.tiles;
    const int t = i % across * shape.tiles, photo = i / across % job->photos, n = i / across / job->photos * shape.groups;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    const uint8_t *residual = s->residual < 0 ? NULL : job->buffers[s->residual] + photo * job->sizes[s->residual];
    const size_t next = s->group_bytes;
    const int8_t *w = s->weights + n * next;
    const int32_t *to = s->to + t * s->rows;
    const int here = s->tiles - t < shape.tiles ? s->tiles - t : shape.tiles, first = n * LANES;
    if (!job->amx) {
        const uint8_t *lists = s->list < 0 ? NULL : job->buffers[s->list] + photo * job->sizes[s->list];
        vnni_block(s, in, t, w, (const int32_t *)lists, sums);
        write_tile(s, sums, to, first, 2, out, residual);
    } else if (shape.groups == 4) {
        amx_1x4(s, in, t, w, next, sums);
        write_tile(s, sums, to, first, 4, out, residual);
    } else if (shape.tiles == 4) {
        amx_4x1(s, in, t, w, sums);
        for (int j = 0; j < 4; j++)
            write_tile(s, sums + j * s->rows * LANES, to + j * s->rows, first, 1, out, residual);
    } else {
        if (here == 2) amx_2x2(s, in, t, w, next, sums);
        else amx_1x2(s, in, t, w, next, sums);
        for (int j = 0; j < here; j++)
            write_tile(s, sums + j * s->rows * 2 * LANES, to + j * s->rows, first, 2, out, residual);
    }
}

/* The largest of 3 x 3 places; padding is 0, the smallest byte. */
VNNI static void pool(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->from[t];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    for (int r = 0; r < s->rows; r++, in += s->distance) {
        const int32_t at = s->to[t * s->rows + r];
        for (int c = 0; at >= 0 && c < s->channels; c += 32) {
            __m256i most = _mm256_loadu_si256((const __m256i *)(in + s->offsets[0] + c));
            for (int k = 1; k < s->steps; k++)
                most = _mm256_max_epu8(most, _mm256_loadu_si256((const __m256i *)(in + s->offsets[k] + c)));
            _mm256_storeu_si256((__m256i *)(out + at + c), most);
        }
    }
}

/* Two lines of pixels to one line of 2 x 2 blocks of 12 bytes (space to depth). */
static void lay_blocks(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *upper = job->pixels + photo * job->photo_bytes + s->from[t], *lower = upper + s->distance;
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output] + s->to[t];
    for (int x = 0; x < s->rows; x++, upper += 6, lower += 6, out += 12) {
        memcpy(out, upper, 6);
        memcpy(out + 6, lower, 6);
    }
}

/* Each class's evidence at one place: the FP32 classifier, a 1 x 1 convolution. */
VNNI static void weigh(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->from[t];
    float *evidence = job->evidence + (size_t)photo * s->photo_floats + t;
    for (int o = 0; o < s->outputs; o++, evidence += s->tiles) {
        const float *w = s->scale + (size_t)o * s->channels;
        __m512 sum = _mm512_setzero_ps();
        for (int c = 0; c < s->channels; c += LANES) {
            __m512 a = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(in + c))));
            sum = _mm512_fmadd_ps(a, _mm512_loadu_ps(w + c), sum);
        }
        *evidence = _mm512_reduce_add_ps(sum);
    }
}

/* ------------------------------------------------------------------ threads */

INLINE void wait_a_little(int looks) {
    if (looks < PATIENCE) _mm_pause();
    else sched_yield();
}

static void work(const Job *job, Progress *progress) {
    int rows = 0; /* that the tiles are configured for */
    for (const Step *s = job->steps; s < job->steps + job->count; s++, progress++) {
        const int blocks = blocks_of(s, job);
        const int share = job->threads == 1 ? blocks : 1 + blocks / (16 * job->threads);
        int first;
        while ((first = atomic_fetch_add(&progress->next, share)) < blocks) {
            const int last = first + share < blocks ? first + share : blocks;
            if (s->kind == CONVOLUTION && job->amx && s->rows != rows) configure(rows = s->rows);
            for (int i = first; i < last; i++) {
                if (s->kind == CONVOLUTION) convolve(s, job, i);
                else if (s->kind == LISTING) list_steps(s, job, i);
                else if (s->kind == POOLING) pool(s, job, i);
                else if (s->kind == BLOCKS) lay_blocks(s, job, i);
                else weigh(s, job, i);
            }
            atomic_fetch_add(&progress->done, last - first);
        }
        for (int looks = 0; atomic_load(&progress->done) < blocks; looks++) wait_a_little(looks);
    }
    if (rows) release();
}

/* Threads that help with one inference at a time and sleep between two. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_flag busy;
    atomic_int inside;
    const Job *job;
    Progress *progress;
    unsigned long turn;
    int closing, count;
    pthread_t threads[];
} Crew;

static void *help(void *argument) {
    Crew *crew = argument;
    unsigned long seen = 0;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (!crew->closing && (crew->turn == seen || !crew->job)) {
            seen = crew->turn;
            pthread_cond_wait(&crew->wake, &crew->lock);
        }
        if (crew->closing) break;
        seen = crew->turn;
        const Job *job = crew->job;
        Progress *progress = crew->progress;
        atomic_fetch_add(&crew->inside, 1);
        pthread_mutex_unlock(&crew->lock);
        work(job, progress);
        atomic_fetch_sub(&crew->inside, 1);
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* ------------------------------------------------------------------ what Python calls */

/* Sizes that Python checks its own layouts against. */
int dandelion_layout(int which) { return which ? sizeof(Job) : sizeof(Step); }

enum { NEITHER, BY_VNNI, BY_AMX };

static uint64_t saved_state(void) { /* which registers the system saves for a thread: XCR0 */
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* What this processor and system can do, asked of the processor itself: an emulator answers for the emulated one.
   Bits are those of CPUID leaf 7 and of XCR0 (Intel's Software Developer's Manual, volume 1, chapters 13 and 20). */
int dandelion_instructions(void) {
    const uint32_t vectors = 1u << 16 | 1u << 30 | 1u << 31, vnni = 1u << 11, tiles = 1u << 24 | 1u << 25;
    const uint64_t vector_state = 0xe6, tile_state = 0x60000;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return NEITHER;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & vectors) != vectors || !(c & vnni)) return NEITHER;
    const uint64_t state = saved_state();
    if ((state & vector_state) != vector_state) return NEITHER;
    if ((d & tiles) != tiles || (state & tile_state) != tile_state) return BY_VNNI;
    /* Linux gives a process its tiles when it asks; all its threads have them then. */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, AMX_PERMISSION) ? BY_VNNI : BY_AMX;
}

void dandelion_dismiss(Crew *crew) {
    pthread_mutex_lock(&crew->lock);
    crew->closing = 1;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->lock);
    for (int i = 0; i < crew->count; i++) pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->wake);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}

/* `helpers` threads beside the one that calls; NULL where the system gives none. */
Crew *dandelion_hire(int helpers) {
    Crew *crew = calloc(1, sizeof(Crew) + helpers * sizeof(pthread_t));
    if (!crew) return NULL;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->wake, NULL);
    atomic_flag_clear(&crew->busy);
    sigset_t all, before; /* signals are Python's: its main thread must be the one that they wake */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (crew->count < helpers && !pthread_create(&crew->threads[crew->count], NULL, help, crew)) crew->count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (crew->count == helpers) return crew;
    dandelion_dismiss(crew);
    return NULL;
}

/* Do the job; with the crew's help where it has none to do and `crew` is not NULL. 0, or -1 for a job too long. */
int dandelion_run(Job *job, Crew *crew) {
    enum { MOST = 128 };
    Progress progress[MOST];
    if (job->count > MOST) return -1;
    for (int i = 0; i < job->count; i++) {
        atomic_init(&progress[i].next, 0);
        atomic_init(&progress[i].done, 0);
    }
    if (!crew || atomic_flag_test_and_set(&crew->busy)) {
        job->threads = 1;
        work(job, progress);
        return 0;
    }
    job->threads = crew->count + 1;
    pthread_mutex_lock(&crew->lock);
    crew->job = job;
    crew->progress = progress;
    crew->turn++;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->lock);
    work(job, progress);
    pthread_mutex_lock(&crew->lock); /* nobody begins with this job any more; */
    crew->job = NULL;
    pthread_mutex_unlock(&crew->lock);
    for (int looks = 0; atomic_load(&crew->inside); looks++) wait_a_little(looks); /* whoever has begun finds nothing left */
    atomic_flag_clear(&crew->busy);
    return 0;
}
