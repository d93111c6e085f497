"""Command `python -m benchmarks decode`: scaled JPEG decoding, and native resizing."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundle_option, default_folder, make, out_option, photos_option, show
from runtime.errors import Refusal


@click.command()
@bundle_option
@photos_option
@click.option("--sample", type=click.IntRange(min=1), default=400, help="Photos to enlarge, a second or two each.")
@out_option
def decode(bundle: Path | None, photos: Path | None, sample: int, out: Path) -> None:
    """Decode photos enlarged to 12 megapixels, at scale and in full, and compare times and predicted labels.

    Photos as they are show what the native kernel's resize takes, by instruction set, beside Pillow's.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.image.decoding import (
        TARGET_AGREEMENT,
        TARGET_SPEEDUP,
        decoding_table,
        measure_decoding,
    )
    from benchmarks.measurements.image.resizing import measure_resizing, resizing_table
    from benchmarks.statistics.goals import quoted_ratio
    from runtime.bundle.manifest import Bundle, to_json
    from runtime.native.library import library

    opened = Bundle.open(bundle or default_folder())
    encoded, source = load_photos(photos, sample)
    make(out)
    resizing = measure_resizing(opened.manifest.input, encoded, source, library())
    if resizing is not None:
        (out / "resize.json").write_bytes(to_json(resizing))
        show(resizing_table(resizing))
    result = measure_decoding(opened, encoded, source)
    (out / "decode.json").write_bytes(to_json(result))
    show(decoding_table(result))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"scaled decoding is faster {quoted_ratio(result.speedup, result.neighbours, result.count)}")
    click.echo(f"the same label on {result.same_label} of {result.count} photos ({result.agreement:.2%})")
    click.echo(f"made {out / 'decode.json'}")
    if result.agreement < TARGET_AGREEMENT or result.speedup.value < TARGET_SPEEDUP:
        raise Refusal(f"below the target: {TARGET_SPEEDUP:.0f} times faster, the same label on {TARGET_AGREEMENT:.1%}")
