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

/** The displacement at a point of the picture, between the grid's points; at the rim, the rim's. */
export function displacementAt({ columns, rows }, values, width, height, [x, y]) {
  const limit = (value, most) => Math.min(Math.max(value, 0), most);
  const column = limit(((x + 0.5) * columns) / width - 0.5, columns - 1);
  const row = limit(((y + 0.5) * rows) / height - 0.5, rows - 1);
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, columns - 1), Math.min(top + 1, rows - 1)];
  const [u, v] = [column - left, row - top];
  return [0, 1].map((axis) => {
    const at = (r, c) => values[2 * (r * columns + c) + axis];
    const above = at(top, left) * (1 - u) + at(top, right) * u;
    const below = at(bottom, left) * (1 - u) + at(bottom, right) * u;
    return above * (1 - v) + below * v;
  });
}
