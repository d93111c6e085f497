"""Robustness: what hostile clients do to the appliance, and to the honest ones beside them.

Attacks beside honest clients are in `attack_kinds`, measured by `isolation`; malformed requests in `fuzz_corpus`,
`fuzz_wire` and `fuzz_photos`, sent by `fuzz`; the largest photos in `giant_photos`, sent by `giants`.
"""
