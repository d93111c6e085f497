"""The view layer: layout, elements, charts, localisation."""
