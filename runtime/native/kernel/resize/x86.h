/* What resize/pairs.h multiplies with on x86-64: PMADDWD. VECTOR(operation) names an intrinsic for the vectors of a set, which
   work in parts of 128 bits, each as SSE does. */

typedef struct {
    Vector high, low;
} Sums, Weights;

TARGET INLINE Sums initial_sums(void) { return (Sums){VECTOR(set1_epi32)(0), VECTOR(set1_epi32)(1 << (PRECISION_BITS - 1))}; }

TARGET INLINE Weights load_weights(const int16_t words[4]) {
    int32_t pairs[2];
    memcpy(pairs, words, sizeof pairs);
    return (Weights){VECTOR(set1_epi32)(pairs[0]), VECTOR(set1_epi32)(pairs[1])};
}

TARGET INLINE void add_products(Sums *s, Vector bytes, Weights w) {
    s->high = VECTOR(add_epi32)(s->high, VECTOR(madd_epi16)(bytes, w.high));
    s->low = VECTOR(add_epi32)(s->low, VECTOR(madd_epi16)(bytes, w.low));
}

TARGET INLINE void add_pixels(Sums *s, const uint8_t *const *lines, size_t at, Weights w) {
    add_products(s, VECTOR(shuffle_epi8)(two_pixels(lines, at), COLOUR_BY_COLOUR), w);
}

TARGET INLINE void add_lines(Sums s[4], const uint8_t *upper, const uint8_t *lower, Weights w) {
    const Vector a = load(upper), b = load(lower), zero = VECTOR(set1_epi32)(0);
    const Vector first = VECTOR(unpacklo_epi8)(a, b), second = VECTOR(unpackhi_epi8)(a, b);
    add_products(s, VECTOR(unpacklo_epi8)(first, zero), w);
    add_products(s + 1, VECTOR(unpackhi_epi8)(first, zero), w);
    add_products(s + 2, VECTOR(unpacklo_epi8)(second, zero), w);
    add_products(s + 3, VECTOR(unpackhi_epi8)(second, zero), w);
}

TARGET INLINE Vector total(Sums s) {
    return VECTOR(srai_epi32)(VECTOR(add_epi32)(VECTOR(slli_epi32)(s.high, LOW_BITS), s.low), PRECISION_BITS);
}

TARGET INLINE void store_bytes(uint8_t *to, const Sums s[4]) {
    const Vector first = VECTOR(packs_epi32)(total(s[0]), total(s[1])), second = VECTOR(packs_epi32)(total(s[2]), total(s[3]));
    store(to, VECTOR(packus_epi16)(first, second));
}
