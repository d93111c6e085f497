/* What templates/winograd.h takes of an instruction set that broadcasts pairs of 16-bit channels from memory. */

typedef const int16_t *Channels;

TARGET INLINE Channels load_channels(const int16_t *p) { return p; }

TARGET INLINE Activations broadcast_unit(Channels p, const int k) { return broadcast((const uint8_t *)p, 4 * (size_t)k); }
