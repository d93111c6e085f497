"""What a manifest says of gates and of the unknown class, in lines for people."""

from __future__ import annotations

from runtime.bundle.manifest import Gate, Unknown


def gate_line(gate: Gate) -> str:
    """Name, value and limit of a gate, with what decided it."""
    line = f"  {gate.name:18} {gate.value:9.6f}  {gate.rule} {gate.limit:g}"
    if gate.bound is not None:
        line += f", for the end of its 95 % interval: {gate.bound:.4g}"
    return f"{line} ({gate.about})" if gate.about else line


def unknown_line(unknown: Unknown) -> str:
    """From where on a photo is unknown, and how well that tells photos apart."""
    line = f"unknown from a probability of {unknown.threshold:.4f} of none of the classes"
    if unknown.metrics is None:
        return line
    said = unknown.metrics
    return (
        f"{line}: {said.own_called_unknown:.1%} of {said.own_photos} photos of the classes are; of {said.other_photos} "
        f"of other things {said.other_answered_with_certainty:.1%} get a sure answer"
    )
