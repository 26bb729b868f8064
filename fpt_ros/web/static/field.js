// SPDX-License-Identifier: Apache-2.0
// What moves, over the whole picture: as colour, as arrows, or the moving part tinted.

import { css, directionColour } from "./colours.js";
import { arrow } from "./marks.js";
import { state } from "./state.js";

const PART = [255, 190, 60];

/** On the picture: `place` takes pixels of the picture to the screen's, `scale` lengths; `unit` is a
 *  CSS pixel. */
export function drawField(context, place, scale, unit) {
  const { field, show } = state;
  if (!field) return;
  if (show === "colour") drawTint(context, field, colourTint(field));
  if (show === "part") drawTint(context, field, partTint(field));
  if (show !== "arrows") return;
  const { columns, rows } = field.grid;
  const step = Math.max(1, Math.round((26 * unit * columns) / context.canvas.width));
  for (let row = step >> 1; row < rows; row += step) {
    for (let column = step >> 1; column < columns; column += step) {
      const i = row * columns + column;
      const [dx, dy] = [field.mean[2 * i], field.mean[2 * i + 1]];
      if (Math.hypot(dx, dy) < 1) continue;
      const colour = css(directionColour(dx, dy));
      arrow(context, place(field.grid.points[i]), [dx * scale, dy * scale], colour, 2 * unit);
    }
  }
}

/** Colour by direction, the more opaque the further; below a pixel: clear. */
function colourTint({ mean: shifts }) {
  let longest = 8;
  for (let i = 0; i < shifts.length; i += 2) {
    longest = Math.max(longest, Math.hypot(shifts[i], shifts[i + 1]));
  }
  return (i) => {
    const [dx, dy] = [shifts[2 * i], shifts[2 * i + 1]];
    return [directionColour(dx, dy), 0.75 * Math.min(1, Math.hypot(dx, dy) / longest)];
  };
}

const partTint = ({ moving }) => (i) => [PART, 0.65 * moving[i]];

/** A small image of one colour for each point of the grid, drawn large and smooth. */
function drawTint(context, { grid }, colourAt) {
  const image = new ImageData(grid.columns, grid.rows);
  for (let i = 0; i < grid.points.length; i++) {
    const [[r, g, b], opacity] = colourAt(i);
    image.data.set([r, g, b, 255 * opacity], 4 * i);
  }
  const small = new OffscreenCanvas(grid.columns, grid.rows);
  small.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
}
