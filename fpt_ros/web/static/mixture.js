// SPDX-License-Identifier: Apache-2.0
// One point's mixture of normals over its displacement (see `Mixtures` in engine.js).

/** @typedef {{weights: number[], means: number[][], covariances: number[][]}} Mixture */

/** @returns {Mixture} that of point `i`. */
export function mixtureAt({ components, weights, means, covariances }, i = 0) {
  const each = Array.from({ length: components }, (_, k) => i * components + k);
  return {
    weights: each.map((c) => weights[c]),
    means: each.map((c) => [means[2 * c], means[2 * c + 1]]),
    covariances: each.map((c) => [covariances[3 * c], covariances[3 * c + 1], covariances[3 * c + 2]]),
  };
}

/** The expected displacement [x, y]. */
export function mean({ weights, means }) {
  return [0, 1].map((axis) => weights.reduce((sum, w, k) => sum + w * means[k][axis], 0));
}

/** The density on a grid's cells, 1 / px^2, row by row. The grid is `columns` x `rows` cells from the corner
 *  (left, top), in displacements, each `cell` pixels a side. */
export function densityGrid(mixture, { left, top, cell, columns, rows }) {
  const values = new Float32Array(columns * rows);
  for (const { peak, precision: [xx, xy, yy], at } of components(mixture)) {
    for (let row = 0; row < rows; row++) {
      const dy = top + (row + 0.5) * cell - at[1];
      for (let column = 0; column < columns; column++) {
        const dx = left + (column + 0.5) * cell - at[0];
        const distance = xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy;
        values[row * columns + column] += peak * Math.exp(-distance / 2);
      }
    }
  }
  return values;
}

/** Local maxima of the density, most probable first: `at` and the `probability` of the components
 *  whose means climb there (mean shift, as in fpt_ros/model/mean_shift.py). */
export function modes(mixture) {
  const found = [];
  mixture.means.forEach((start, k) => {
    const at = climb(mixture, start);
    const near = found.find((mode) => Math.hypot(mode.at[0] - at[0], mode.at[1] - at[1]) < 1);
    if (near) near.probability += mixture.weights[k];
    else found.push({ at, probability: mixture.weights[k] });
  });
  return found.sort((a, b) => b.probability - a.probability);
}

function climb(mixture, [x, y], steps = 60) {
  for (let step = 0; step < steps; step++) {
    let [a, b, c, u, v] = [0, 0, 0, 0, 0]; // [[a, b], [b, c]] at = [u, v]
    for (const { density: share, precision: [xx, xy, yy], at } of terms(mixture, x, y)) {
      a += share * xx;
      b += share * xy;
      c += share * yy;
      u += share * (xx * at[0] + xy * at[1]);
      v += share * (xy * at[0] + yy * at[1]);
    }
    const determinant = a * c - b * b;
    if (!(determinant > 0)) break; // so far away that all densities are 0
    [x, y] = [(c * u - b * v) / determinant, (a * v - b * u) / determinant];
  }
  return [x, y];
}

/** Each component's weighted density at a displacement, its mean and precision. */
function terms(mixture, x, y) {
  return components(mixture).map(({ peak, precision, at }) => {
    const [dx, dy] = [x - at[0], y - at[1]];
    const distance = precision[0] * dx * dx + 2 * precision[1] * dx * dy + precision[2] * dy * dy;
    return { density: peak * Math.exp(-distance / 2), precision, at };
  });
}

/** Each component's weighted density at its mean, its mean and its precision [xx, xy, yy]. */
function components({ weights, means, covariances }) {
  return weights.map((weight, k) => {
    const [xx, xy, yy] = covariances[k];
    const determinant = xx * yy - xy * xy;
    const precision = [yy / determinant, -xy / determinant, xx / determinant];
    return { peak: weight / (2 * Math.PI * Math.sqrt(determinant)), precision, at: means[k] };
  });
}
