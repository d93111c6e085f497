/* Public interface of the INT8 inference kernel: a plan of steps, a job that runs it on a batch, a thread pool.

   Activations are NHWC bytes with a border around each picture; docs/kernel.md describes layout, weight packing, activation
   sparsity and how to call this from C. No function allocates but `dandelion_pool_create`, and no offset is checked: all
   are the planner's, and the planner proves them (runtime/native/bounds.py). */

#ifndef DANDELION_KERNEL_API_H
#define DANDELION_KERNEL_API_H

#include <stddef.h>
#include <stdint.h>

#define DANDELION_KERNEL_VERSION "2.0.0" /* of this interface and what it computes */
#define DANDELION_API __attribute__((visibility("default")))
#define MAX_STEPS 128                    /* of one job */

/* Instruction set of a job. The reference is scalar C for every CPU: what the others are tested against, not for serving.
   It takes steps that were laid out for any of the others. */
enum { ISA_REFERENCE, ISA_SSE4, ISA_AVX2, ISA_AVXVNNI, ISA_VNNI, ISA_AMX, ISA_NEON, ISA_DOTPROD, ISA_I8MM };

enum { SPACE_TO_DEPTH, CONVOLUTION, MAX_POOLING, CLASS_SCORES, BUILD_NONZERO_LIST, WIDEN, WINOGRAD_INPUT, WINOGRAD };

/* One operation of a network. A tile is the places of the output that are computed together: `rows` of them. How many, and
   how weights lie, is a matter of the instruction set (runtime/native/layout.py). Offsets are in bytes from the beginning of
   a photo's tensor. */
typedef struct {
    int32_t kind, input, output, residual;    /* buffers; residual is -1 if none is added */
    int32_t channels, outputs, k_steps, row_stride; /* k_steps: of the reduction; row_stride: between inputs of two rows */
    int32_t tiles, rows, run;                 /* run: rows of a tile that lie at one distance, `row_stride` */
    int32_t products, unit, weight_bytes;     /* of a step of the reduction; unit: of them side by side for one output */
    int32_t activation_bytes;                 /* of a convolution's input: 1, or 2 after WIDEN */
    int32_t weight_zero, lanes, group_bytes;  /* weight_zero: added to each weight; lanes: outputs in `group_bytes` of them */
    int32_t nonzero_list, list_capacity;      /* buffer with a list in each `list_capacity` integers a tile; -1: none */
    int32_t gathered;                         /* integers from a list to the activations of its steps; 0: they are not there */
    int32_t chunk;                            /* of BUILD_NONZERO_LIST: steps of the reduction from one k_offset to the next */
    int32_t side;                             /* of the outputs of a tile of WINOGRAD: 2 to 4 */
    int32_t zero_point, scores_per_photo;     /* scores_per_photo: floats of CLASS_SCORES */
    float scale_own, scale_residual, shift;   /* of the addition: own * a + residual * b + shift */
    const int32_t *k_offsets;                 /* [k_steps + 1]: from a row's input to that of a step of the reduction */
    const int32_t *full_list;                 /* the list that holds every step of the reduction */
    const int32_t *input_offsets;             /* [tiles][rows / run]: where the first of a run of rows reads */
    const int32_t *output_offsets;            /* [tiles][rows]: where each row is written; -1: nowhere */
    const void *weights;                      /* [outputs / lanes][k_steps + 1][products / unit][lanes][unit] */
    const int32_t *bias;                      /* [outputs] */
    const float *scale;                       /* [outputs]; of CLASS_SCORES the weights [outputs][channels] */
} Step;

/* One inference. */
typedef struct {
    const Step *steps;
    int32_t count, photos, isa, threads;      /* threads: set by `dandelion_run` */
    const uint8_t *pixels;                    /* [photos][height][width][3] */
    size_t photo_bytes;
    uint8_t *const *buffers;                  /* each holds all photos, `sizes` bytes a photo */
    const size_t *sizes;
    float *scores;                            /* [photos][classes][places] */
} Job;

/* Filter taps of a resize along one side: [outputs] first input and count, [outputs][max_taps] weights. */
typedef struct {
    int32_t outputs, max_taps;
    const int32_t *first, *count, *weights;
} Taps;

/* A structure (name alone) or one of its fields ("Step.kind"), for callers that declare the structures themselves. */
typedef struct {
    const char *name;
    int32_t offset, size;
} Field;

typedef struct ThreadPool ThreadPool;

/* All structures and fields of this file; the last has no name. */
DANDELION_API const Field *dandelion_fields(void);

/* Whether this build, processor and system have an instruction set. */
DANDELION_API int dandelion_has_isa(int32_t isa);

/* `workers` threads beside the one that calls; NULL if the system gives none. */
DANDELION_API ThreadPool *dandelion_pool_create(int workers);
DANDELION_API void dandelion_pool_destroy(ThreadPool *pool);

/* Run a job; with the pool's help if `pool` is not NULL and not busy. Returns 0, or -1 for a job that is too long or of an
   instruction set that this build does not have. The processor is not asked, which is slow in a virtual machine: whoever
   makes the job has asked dandelion_has_isa once. Without the instructions the process ends by SIGILL. */
DANDELION_API int dandelion_run(Job *job, ThreadPool *pool);

/* Bilinear resize, `in` [height][width][4] to `out` [vertical outputs][across outputs][4], as Pillow computes it.
   `between` has room for what the first pass makes. */
DANDELION_API void dandelion_resize(int32_t isa, const uint8_t *in, int32_t width, int32_t height, const Taps *across,
                                    const Taps *vertical, int32_t vertical_first, uint8_t *between, uint8_t *out);

/* Class scores [photos][classes][places] to probabilities [photos][classes]: the mean over the places and `bias` [classes],
   divided by the temperature, through a softmax. The same bytes on every processor. */
DANDELION_API void dandelion_probabilities(const float *scores, int32_t photos, int32_t classes, int32_t places,
                                           const float *bias, float temperature, float *out);

#endif
