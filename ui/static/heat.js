// Heat map: the class-activation map as a layer over the photo, in colours that no meadow has. The API's own scale ends
// in yellow, which would be lost on yellow flowers. Weak evidence stays transparent, so that the photo stays visible.

const ANCHORS = [
  [84, 20, 150],
  [132, 22, 176],
  [196, 24, 176],
  [246, 36, 152],
  [255, 92, 172],
];
const FAINT = 0.3; // evidence below this is not drawn
const FULL = 0.8; // and from here on it covers the photo
const LONGEST = 256; // px: the browser smooths the rest

const COLOURS = Array.from({ length: 256 }, (_, value) => {
  const place = (value / 255) * (ANCHORS.length - 1);
  const low = Math.min(ANCHORS.length - 2, Math.floor(place));
  return ANCHORS[low].map((start, i) => start + (ANCHORS[low + 1][i] - start) * (place - low));
});

function cover(strength) {
  const x = Math.min(1, Math.max(0, (strength - FAINT) / (FULL - FAINT)));
  return x * x * (3 - 2 * x);
}

// `map` are rows from the top, 0..1; the canvas takes the photo's proportions.
export function paint(canvas, map, width, height) {
  if (!canvas || !map?.length || !width || !height) return;
  const scale = LONGEST / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(grey(map), 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const value = pixels.data[i];
    const colour = COLOURS[value];
    pixels.data[i] = colour[0];
    pixels.data[i + 1] = colour[1];
    pixels.data[i + 2] = colour[2];
    pixels.data[i + 3] = 255 * cover(value / 255);
  }
  context.putImageData(pixels, 0, 0);
}

function grey(map) {
  const canvas = document.createElement("canvas");
  canvas.width = map[0].length;
  canvas.height = map.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  map.flat().forEach((value, i) => {
    pixels.data.fill(Math.round(value * 255), 4 * i, 4 * i + 3);
    pixels.data[4 * i + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}
