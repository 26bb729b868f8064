// SPDX-License-Identifier: Apache-2.0
// Where the query point may go: its density on the picture and magnified.

import { dot } from "./marks.js";
import { densityGrid, mixtureAt } from "./mixture.js";
import { likelyModes } from "./words.js";

const CELLS = 64;
const GROUND = "rgb(20 24 28)";
const BESIDE = [[0, 1], [0, -1], [-1, 0], [1, 0]]; // where the modes' numbers stand: not over the peak

const known = new WeakMap();

/** The first point's mixture, its density on a square grid that holds all likely displacements and
 *  0, and an image of that. */
export function densityOf(mixtures) {
  if (!known.has(mixtures)) known.set(mixtures, makeDensity(mixtureAt(mixtures)));
  return known.get(mixtures);
}

function makeDensity(mixture) {
  const box = [0, 0, 0, 0];
  mixture.means.forEach(([x, y], k) => {
    if (mixture.weights[k] < 0.05) return;
    const [xx, , yy] = mixture.covariances[k];
    const [u, v] = [2 * Math.sqrt(xx), 2 * Math.sqrt(yy)];
    box[0] = Math.min(box[0], x - u);
    box[1] = Math.min(box[1], y - v);
    box[2] = Math.max(box[2], x + u);
    box[3] = Math.max(box[3], y + v);
  });
  const side = 1.1 * Math.max(box[2] - box[0], box[3] - box[1], 4);
  const grid = {
    left: (box[0] + box[2] - side) / 2,
    top: (box[1] + box[3] - side) / 2,
    cell: side / CELLS,
    columns: CELLS,
    rows: CELLS,
  };
  return { mixture, grid, side, image: heat(densityGrid(mixture, grid)) };
}

/** An image of the density: from clear over magenta to pale yellow, the highest value. */
function heat(values) {
  const highest = values.reduce((a, b) => Math.max(a, b), 1e-30);
  const image = new ImageData(CELLS, CELLS);
  values.forEach((value, i) => {
    const share = Math.sqrt(value / highest); // square root: the tails show, too
    image.data[4 * i] = 215 + 40 * share;
    image.data[4 * i + 1] = 60 + 180 * share * share;
    image.data[4 * i + 2] = 200 - 50 * share;
    image.data[4 * i + 3] = 240 * Math.min(1, 1.5 * share);
  });
  const canvas = new OffscreenCanvas(CELLS, CELLS);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** On the picture: `place` takes pixels of the picture to the screen's, `scale` lengths. */
export function drawDensity(context, { grid, side, image }, [x, y], place, scale) {
  const [left, top] = place([x + grid.left, y + grid.top]);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, side * scale, side * scale);
}

/** Magnified, over that part of the picture: the point itself as a dot, the modes numbered. */
export function drawInset(canvas, density, bitmap, [x, y]) {
  const size = Math.round(canvas.clientWidth * devicePixelRatio);
  [canvas.width, canvas.height] = [size, size];
  const context = canvas.getContext("2d");
  context.fillStyle = GROUND;
  context.fillRect(0, 0, size, size);
  if (!density) return;
  const { grid, side, image, mixture } = density;
  const scale = size / side;
  const place = ([dx, dy]) => [(dx - grid.left) * scale, (dy - grid.top) * scale];
  context.imageSmoothingQuality = "high";
  context.globalAlpha = 0.3;
  context.drawImage(bitmap, x + 0.5 + grid.left, y + 0.5 + grid.top, side, side, 0, 0, size, size);
  context.globalAlpha = 1;
  context.drawImage(image, 0, 0, size, size);
  dot(context, place([0, 0]), 4 * devicePixelRatio, "rgb(255 236 120)");
  context.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  likelyModes(mixture).forEach(({ at }, i) => {
    const beside = place(at).map((value, axis) => {
      const shifted = value + 15 * devicePixelRatio * BESIDE[i][axis];
      return Math.min(Math.max(shifted, 9 * devicePixelRatio), size - 9 * devicePixelRatio);
    });
    dot(context, beside, 8 * devicePixelRatio, "white");
    context.fillStyle = GROUND;
    context.fillText(i + 1, ...beside);
  });
  drawScale(context, size, scale);
}

/** A bar of a round number of pixels of the picture. */
function drawScale(context, size, scale) {
  const most = (0.35 * size) / scale;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((digit) => digit * power).find((round) => round <= most);
  const [left, bottom] = [0.05 * size, 0.94 * size];
  context.fillStyle = "white";
  context.fillRect(left, bottom, length * scale, 2 * devicePixelRatio);
  context.textAlign = "left";
  context.fillText(`${Number(length.toPrecision(1))} px`, left, bottom - 10 * devicePixelRatio);
}
