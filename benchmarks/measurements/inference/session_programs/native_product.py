"""A matrix product by the appliance's own kernel: `python native_product.py "ROWS INNER COLUMNS" THREADS`."""

import sys

import numpy as np
from benchmarks.measurements.inference.native_product import NativeProduct
from runs import serve
from runtime.native.library import library

rows, inner, columns = map(int, sys.argv[1].split())
generator = np.random.default_rng(0)
found = library()
if found is None:
    sys.exit("this host has no native kernel")
product = NativeProduct(
    generator.integers(0, 256, (rows, inner)).astype(np.uint8),
    generator.integers(-127, 128, (inner, columns)).astype(np.int8),
    1e-5,
    found,
    threads=int(sys.argv[2]),
)
serve(product)
