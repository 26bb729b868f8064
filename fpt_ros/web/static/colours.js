// SPDX-License-Identifier: Apache-2.0
// Colour means direction, as in fpt_ros/drawing.py: hues of one lightness and chroma (CIE Lab).

const PALETTE = Array.from({ length: 256 }, (_, i) => {
  const angle = (i / 256) * 2 * Math.PI + Math.PI / 6;
  return fromLab(68, 68 * Math.cos(angle), 68 * Math.sin(angle));
});

/** [r, g, b], 0 to 255: right is red, down is green-yellow. */
export function directionColour(dx, dy) {
  const turns = Math.atan2(dy, dx) / (2 * Math.PI);
  return PALETTE[Math.floor((turns - Math.floor(turns)) * 255)];
}

export const css = ([r, g, b], opacity = 1) => `rgb(${r} ${g} ${b} / ${opacity})`;

/** sRGB of a colour of CIE Lab under D65. */
function fromLab(lightness, a, b) {
  const y = (lightness + 16) / 116;
  const [X, Y, Z] = [y + a / 500, y, y - b / 200].map((t) =>
    t > 6 / 29 ? t ** 3 : 3 * (6 / 29) ** 2 * (t - 4 / 29),
  );
  const [x, z] = [X * 0.95047, Z * 1.08883];
  const linear = [
    3.2404542 * x - 1.5371385 * Y - 0.4985314 * z,
    -0.969266 * x + 1.8760108 * Y + 0.041556 * z,
    0.0556434 * x - 0.2040259 * Y + 1.0572252 * z,
  ];
  return linear.map((value) => {
    const limited = Math.min(Math.max(value, 0), 1);
    const coded = limited <= 0.0031308 ? 12.92 * limited : 1.055 * limited ** (1 / 2.4) - 0.055;
    return Math.round(255 * coded);
  });
}
