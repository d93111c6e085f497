/* What the library says of itself: structure layouts for callers, and a package note for SBOM scanners. */

#include "api.h"

#define STRUCTURE(s) {#s, 0, sizeof(s)}
#define FIELD(s, f) {#s "." #f, offsetof(s, f), sizeof(((s *)0)->f)}

static const Field FIELDS[] = {
    STRUCTURE(Step),
    FIELD(Step, kind),
    FIELD(Step, input),
    FIELD(Step, output),
    FIELD(Step, residual),
    FIELD(Step, channels),
    FIELD(Step, outputs),
    FIELD(Step, k_steps),
    FIELD(Step, row_stride),
    FIELD(Step, tiles),
    FIELD(Step, rows),
    FIELD(Step, run),
    FIELD(Step, products),
    FIELD(Step, unit),
    FIELD(Step, weight_bytes),
    FIELD(Step, activation_bytes),
    FIELD(Step, weight_zero),
    FIELD(Step, lanes),
    FIELD(Step, group_bytes),
    FIELD(Step, nonzero_list),
    FIELD(Step, list_capacity),
    FIELD(Step, gathered),
    FIELD(Step, chunk),
    FIELD(Step, side),
    FIELD(Step, zero_point),
    FIELD(Step, scores_per_photo),
    FIELD(Step, scale_own),
    FIELD(Step, scale_residual),
    FIELD(Step, shift),
    FIELD(Step, k_offsets),
    FIELD(Step, full_list),
    FIELD(Step, input_offsets),
    FIELD(Step, output_offsets),
    FIELD(Step, weights),
    FIELD(Step, bias),
    FIELD(Step, scale),
    STRUCTURE(Job),
    FIELD(Job, steps),
    FIELD(Job, count),
    FIELD(Job, photos),
    FIELD(Job, isa),
    FIELD(Job, threads),
    FIELD(Job, pixels),
    FIELD(Job, photo_bytes),
    FIELD(Job, buffers),
    FIELD(Job, sizes),
    FIELD(Job, scores),
    STRUCTURE(Taps),
    FIELD(Taps, outputs),
    FIELD(Taps, max_taps),
    FIELD(Taps, first),
    FIELD(Taps, count),
    FIELD(Taps, weights),
    {0},
};

const Field *dandelion_fields(void) { return FIELDS; }

/* Package metadata for ELF files (https://systemd.io/ELF_PACKAGE_METADATA), which SBOM scanners read. */
#define NOTE "{\"type\":\"generic\",\"name\":\"dandelion-kernel\",\"version\":\"" DANDELION_KERNEL_VERSION \
             "\",\"license\":\"Apache-2.0\"}"

#ifdef __ELF__
__attribute__((section(".note.package"), used, aligned(4))) static const struct {
    uint32_t name_bytes, note_bytes, type;
    char name[4], note[(sizeof NOTE + 3) / 4 * 4];
} PACKAGE_NOTE = {4, (sizeof NOTE + 3) / 4 * 4, 0xcafe1a7e, "FDO", NOTE};
#endif
