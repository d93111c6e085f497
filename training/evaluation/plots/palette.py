"""Palette of all plots: paper, ink, meadow green, and dandelion yellow for what matters."""

INK, GREY, GRID, PAPER = "#22301c", "#7d8877", "#dfe4da", "#fbf9f3"
GREEN, YELLOW, BLUE = "#3f7d3a", "#e3a60b", "#3c6e91"
CLASS_COLOURS = (YELLOW, GREEN, BLUE, "#a4574b", "#7b5ea7", "#4c9a8f", "#b07d2b", "#59665a")  # one a curve or class
