"""Near-duplicate detection: which photos show one picture, however mirrored, turned, cropped or padded.

Three steps, all on grey thumbnails of 64 x 64 px: `windows` describes each photo and the parts that a crop could be,
`candidates` compares every photo with every such part in the eight symmetries, `alignment` lays the few promising pairs
over each other and `agreement` tells whether their details agree. `grouping` puts together what belongs together.
"""

from __future__ import annotations

from training.data.duplicates.grouping import Match, find_matches, group_numbers
from training.data.duplicates.thumbnails import Thumbnail, thumbnail_of

__all__ = ["Match", "Thumbnail", "find_matches", "group_numbers", "thumbnail_of"]
