// SPDX-License-Identifier: Apache-2.0
// A grid of points over a picture, as `grid_points` of fpt_ros/inference/view.py has them.

/** Centres of cells over the whole picture, row by row: about `count` of them, nearly square. */
export function makeGrid(width, height, count) {
  const columns = Math.max(1, Math.round(Math.sqrt((count * width) / height)));
  const rows = Math.max(1, Math.round(count / columns));
  const points = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      points.push([((column + 0.5) * width) / columns - 0.5, ((row + 0.5) * height) / rows - 0.5]);
    }
  }
  return { columns, rows, points };
}
