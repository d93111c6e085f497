/* Layers in portable C, of which compilers make vector instructions: space to depth, max pooling, class scores, softmax. */

#include "internal.h"

/* Space to depth: two lines of pixels to one line of 2 x 2 blocks of 12 bytes. */
void space_to_depth(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *upper = job->pixels + photo * job->photo_bytes + s->input_offsets[t], *lower = upper + s->row_stride;
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output] + s->output_offsets[t];
    for (int x = 0; x < s->rows; x++, upper += 6, lower += 6, out += 12) {
        memcpy(out, upper, 6);
        memcpy(out + 6, lower, 6);
    }
}

/* A piece of a tensor as 16-bit integers. */
void widen(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, first = i % s->tiles * s->rows, left = s->channels - first;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + first;
    uint16_t *out = (uint16_t *)(void *)(job->buffers[s->output] + photo * job->sizes[s->output]) + first;
    for (int j = 0; j < (left < s->rows ? left : s->rows); j++) out[j] = in[j];
}

#define PIECE 32 /* channels; a tensor's are a multiple of it */

/* The maximum of 3 x 3 places; padding is 0, the smallest byte. */
void max_pool(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    uint8_t *out = job->buffers[s->output] + photo * job->sizes[s->output];
    for (int r = 0; r < s->rows; r++, in += s->row_stride) {
        const int32_t at = s->output_offsets[t * s->rows + r];
        for (int c = 0; at >= 0 && c < s->channels; c += PIECE) {
            uint8_t most[PIECE] = {0};
            for (int k = 0; k < s->k_steps; k++) {
                const uint8_t *const from = in + s->k_offsets[k] + c;
                for (int j = 0; j < PIECE; j++) most[j] = from[j] > most[j] ? from[j] : most[j];
            }
            memcpy(out + at + c, most, PIECE);
        }
    }
}

/* Each class's score at one place: the FP32 classifier as a pointwise (1 x 1) convolution. Sixteen sums, then their sum by
   halves, each operation rounded: the order is the same on every processor, and so is the score. */
void class_scores(const Step *s, const Job *job, int i) {
    const int photo = i / s->tiles, t = i % s->tiles;
    const uint8_t *in = job->buffers[s->input] + photo * job->sizes[s->input] + s->input_offsets[t];
    float *scores = job->scores + (size_t)photo * s->scores_per_photo + t;
    for (int o = 0; o < s->outputs; o++, scores += s->tiles) {
        const float *w = s->scale + (size_t)o * s->channels;
        float sums[LANES] = {0};
        for (int c = 0; c < s->channels; c += LANES)
            for (int l = 0; l < LANES; l++) sums[l] += (float)in[c + l] * w[c + l];
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++) sums[l] += sums[l + half];
        *scores = sums[0];
    }
}

/* e to the power of x, for x from -745 to 0: 2^n * e^r with |r| <= ln(2) / 2, and e^r by its Taylor series, whose next term is
   below 2^-54. Only additions and products, so that all processors give the same bits, as their C libraries do not. */
static double exponential(double x) {
    if (x < -700) return 0; /* of a float nothing would be left */
    const double turns = x * 1.4426950408889634 - 0.5;
    const int n = (int)turns; /* cut towards 0: the nearest integer of a negative number */
    const double r = (x + n * -0.6931471803691238) + n * -1.9082149292705877e-10; /* ln(2) in two parts */
    double sum = 1;
    for (int k = 13; k; k--) sum = 1 + sum * r / k;
    const uint64_t bits = (uint64_t)(1023 + n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

void dandelion_probabilities(const float *scores, int32_t photos, int32_t classes, int32_t places, const float *bias,
                             float temperature, float *out) {
    for (int photo = 0; photo < photos; photo++, out += classes) {
        double most = 0, total = 0;
        for (int c = 0; c < classes; c++, scores += places) {
            double sum = 0;
            for (int p = 0; p < places; p++) sum += scores[p];
            const double logit = (sum / places + bias[c]) / temperature;
            out[c] = (float)logit;
            most = c && most > out[c] ? most : out[c];
        }
        for (int c = 0; c < classes; c++) total += exponential(out[c] - most);
        for (int c = 0; c < classes; c++) out[c] = (float)(exponential(out[c] - most) / total);
    }
}
