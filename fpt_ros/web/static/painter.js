// SPDX-License-Identifier: Apache-2.0
// Draws the picture and everything on it.

import { densityOf, drawDensity } from "./density.js";
import { drawField } from "./field.js";
import { arrow, dot, pin, ring } from "./marks.js";
import { mean } from "./mixture.js";
import { activePokes, queryPoint, state } from "./state.js";
import { Warp } from "./warp.js";

const GOAL = "rgb(120 240 150)";
const STAY = "rgb(255 176 92)";
const warp = new Warp();

/** Pixels of the screen for one of the picture. */
export const scaleOf = (canvas) => canvas.width / (shown()?.width ?? canvas.width);

/** The picture on the canvas: the one that is open, or the camera's newest frame. */
export const shown = () => state.liveFrame ?? state.picture?.bitmap;

/** Draw all on a canvas, whose height follows from its width and the picture. */
export function paint(canvas) {
  const picture = shown();
  if (!picture) return;
  canvas.style.setProperty("--ratio", picture.width / picture.height); // for its size on the page
  const width = Math.round(canvas.clientWidth * devicePixelRatio) || canvas.width;
  const height = Math.round((width * picture.height) / picture.width);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  context.imageSmoothingQuality = "high";
  context.drawImage(movedPicture(), 0, 0, width, height);
  if (state.liveFrame) return;
  const scale = scaleOf(canvas);
  const place = ([x, y]) => [(x + 0.5) * scale, (y + 0.5) * scale];
  const unit = devicePixelRatio;
  if (state.phase === 0) {
    drawField(context, place, scale, unit);
    drawQuery(context, place, scale, unit);
  }
  drawPlan(context, place, scale, unit);
  activePokes().forEach(([x, y, dx, dy]) => {
    context.globalAlpha = state.phase === 0 ? 1 : 0.55;
    arrow(context, place([x, y]), [dx * scale, dy * scale], "white", 3.5 * unit);
    ring(context, place([x, y]), 8 * unit, "white", 2.5 * unit);
    context.globalAlpha = 1;
  });
}

/** The picture at rest, or moved along the mean or the chosen future. */
function movedPicture() {
  const { picture, field, futures, future, phase } = state;
  if (state.liveFrame || phase === 0 || !field) return shown();
  const way = future >= 0 && futures ? futures : field;
  const shifts = way === futures ? futures.shifts[future] : field.mean;
  return warp.draw(picture.bitmap, way.grid, shifts, phase) ?? picture.bitmap;
}

/** The picture moved along any displacements of a grid, for the small pictures of futures. */
export const movedAlong = (grid, shifts, phase) =>
  warp.draw(state.picture.bitmap, grid, shifts, phase) ?? state.picture.bitmap;

function drawQuery(context, place, scale, unit) {
  const point = queryPoint();
  if (!point || state.tool === "touch") return;
  if (state.mixtures) {
    const density = densityOf(state.mixtures);
    drawDensity(context, density, point, place, scale);
    const [dx, dy] = mean(density.mixture);
    arrow(context, place(point), [dx * scale, dy * scale], "rgb(255 236 120)", 2 * unit);
  }
  dot(context, place(point), 4.5 * unit, "rgb(255 236 120)");
}

function drawPlan(context, place, scale, unit) {
  if (state.touch.length) {
    context.beginPath();
    for (const [x, y, radius] of state.touch) {
      const [u, v] = place([x, y]);
      context.moveTo(u + radius * scale, v);
      context.arc(u, v, radius * scale, 0, 2 * Math.PI);
    }
    context.fillStyle = "rgb(90 200 255 / 0.3)";
    context.fill();
  }
  for (const [x, y, dx, dy] of state.goals) {
    arrow(context, place([x, y]), [dx * scale, dy * scale], GOAL, 3 * unit);
    ring(context, place([x + dx, y + dy]), 7 * unit, GOAL, 2 * unit);
    dot(context, place([x, y]), 5 * unit, GOAL);
  }
  for (const point of state.stay) pin(context, place(point), STAY);
}
