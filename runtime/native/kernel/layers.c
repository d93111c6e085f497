/* Layers in plain C: space to depth, and the scalar references of list building, max pooling and class scores. */

#include <string.h>

#include "internal.h"

/* Space to depth: two lines of pixels to one line of 2 x 2 blocks of 12 bytes. All instruction sets use it. */
void space_to_depth(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *upper = job->pixels + photo * job->photo_bytes + s->input_offsets[t], *lower = upper + s->row_stride;
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output] + s->output_offsets[t];
    for (int x = 0; x < s->rows; x++, upper += 6, lower += 6, out += 12) {
        memcpy(out, upper, 6);
        memcpy(out + 6, lower, 6);
    }
}

/* Whether 4 bytes of some row of a tile are not 0. */
static int any_nonzero(const Step *s, const uint8_t *in, const int32_t *from) {
    uint32_t bytes;
    for (int r = 0; r < s->rows; r++) {
        memcpy(&bytes, in + from[r / 2] + r % 2 * s->row_stride, sizeof bytes);
        if (bytes) return 1;
    }
    return 0;
}

void build_nonzero_list_reference(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input];
    int32_t *list = (int32_t *)(void *)(job->buffers[s->output] + photo * job->sizes[s->output]) + t * s->list_capacity;
    const int32_t *from = s->input_offsets + t * ((s->rows + 1) / 2);
    list[0] = 0;
    for (int step = 0; step < 16 * s->k_steps; step++)
        if (any_nonzero(s, in + s->k_offsets[step / 16] + step % 16 * 4, from)) list[++list[0]] = step;
}

void max_pool_reference(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    for (int r = 0; r < s->rows; r++, in += s->row_stride) {
        const int32_t at = s->output_offsets[t * s->rows + r];
        for (int c = 0; at >= 0 && c < s->channels; c++) {
            uint8_t most = 0;
            for (int k = 0; k < s->k_steps; k++)
                if (in[s->k_offsets[k] + c] > most) most = in[s->k_offsets[k] + c];
            out[at + c] = most;
        }
    }
}

/* Added in double precision: the variants add floats, in other orders, and differ from this by rounding alone. */
void class_scores_reference(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    float *scores = job->scores + (size_t)photo * s->scores_per_photo + t;
    for (int o = 0; o < s->outputs; o++, scores += s->tiles) {
        const float *w = s->scale + (size_t)o * s->channels;
        double sum = 0;
        for (int c = 0; c < s->channels; c++) sum += (double)in[c] * w[c];
        *scores = (float)sum;
    }
}
