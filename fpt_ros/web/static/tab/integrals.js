// SPDX-License-Identifier: Apache-2.0
// Integrals over mixtures of normals without a closed form, as fpt_ros/model/normals.py and
// log_density.py have them. Mixtures are those of ../mixture.js.

/** The probability that the displacement lies within `radius` of `centre`; error below 1e-5. */
export function probabilityWithin({ weights, means, covariances }, [x, y], radius) {
  return weights.reduce(
    (sum, weight, k) =>
      sum + weight * massInDisc([means[k][0] - x, means[k][1] - y], covariances[k], radius),
    0,
  );
}

const NODES = legendre(48);

/** Of one normal, in a disc about the origin: along its minor axis, u = radius sin(t), the chord
 *  through u has a closed form. */
function massInDisc([x, y], [xx, xy, yy], radius) {
  const angle = Math.atan2(2 * xy, xx - yy) / 2; // of the major axis
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [u0, v0] = [y * cos - x * sin, x * cos + y * sin];
  const minor = Math.sqrt(Math.max(xx * sin * sin - 2 * xy * sin * cos + yy * cos * cos, 1e-300));
  const major = Math.sqrt(xx * cos * cos + 2 * xy * sin * cos + yy * sin * sin);
  const angleAt = (u) => Math.asin(Math.min(Math.max(u / radius, -1), 1));
  const [low, high] = [angleAt(u0 - 6.5 * minor), angleAt(u0 + 6.5 * minor)];
  let sum = 0;
  for (const { at, weight } of NODES) {
    const t = (low + high) / 2 + (at * (high - low)) / 2;
    const half = radius * Math.cos(t);
    const z = (radius * Math.sin(t) - u0) / minor;
    const chord = erf((half - v0) / (Math.SQRT2 * major)) + erf((half + v0) / (Math.SQRT2 * major));
    sum += weight * half * Math.exp((-z * z) / 2) * chord;
  }
  return (sum * (high - low)) / (4 * minor * Math.sqrt(2 * Math.PI));
}

/** The error function, to 1e-15: its Taylor series, and a continued fraction further out. */
export function erf(x) {
  const square = x * x;
  if (square > 36) return Math.sign(x);
  if (square > 9) {
    let fraction = 0;
    for (let n = 24; n > 0; n--) fraction = n / 2 / (Math.abs(x) + fraction);
    const rest = Math.exp(-square) / ((Math.abs(x) + fraction) * Math.sqrt(Math.PI));
    return Math.sign(x) * (1 - rest);
  }
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * square) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * sum;
}

const RINGS = [4, 6, 8, 8, 8, 8, 6];
const NORMAL_NODES = normalNodes();

/** The Kullback-Leibler divergence of `other` from `mixture`, nats: by the same nodes as the
 *  library's, so with the same error. */
export function divergence(mixture, other) {
  const [density, otherDensity] = [logDensity(mixture), logDensity(other)];
  return mixture.weights.reduce((sum, weight, k) => {
    const [xx, xy, yy] = mixture.covariances[k];
    const first = Math.sqrt(xx); // the Cholesky factor's entries
    const below = xy / first;
    const second = Math.sqrt(yy - below * below);
    const expected = NORMAL_NODES.reduce((part, { u, v, weight }) => {
      const x = mixture.means[k][0] + first * u;
      const y = mixture.means[k][1] + below * u + second * v;
      return part + weight * (density(x, y) - otherDensity(x, y));
    }, 0);
    return sum + weight * expected;
  }, 0);
}

/** The log density of a mixture, a function of x and y; no density is too small for it. */
export function logDensity({ weights, means, covariances }) {
  const each = weights.map((weight, k) => {
    const [xx, xy, yy] = covariances[k];
    const determinant = xx * yy - xy * xy;
    const peak = Math.log(weight) - Math.log(4 * Math.PI * Math.PI * determinant) / 2;
    return [peak, means[k][0], means[k][1], yy / determinant, xy / determinant, xx / determinant];
  });
  const terms = new Float64Array(each.length);
  return (x, y) => {
    let highest = -Infinity;
    each.forEach(([peak, x0, y0, a, b, c], k) => {
      const [dx, dy] = [x - x0, y - y0];
      terms[k] = peak - (a * dx * dx - 2 * b * dx * dy + c * dy * dy) / 2;
      highest = Math.max(highest, terms[k]);
    });
    let sum = 0;
    for (const term of terms) sum += Math.exp(term - highest);
    return highest + Math.log(sum);
  };
}

/** Nodes and weights of an expectation under the standard normal, on rings. */
function normalNodes() {
  const rings = legendre(RINGS.length).map(({ at, weight }) => {
    const z = (Math.asinh(4.5) / 2) * (at + 1);
    const radius = Math.sinh(z);
    return { radius, weight: weight * Math.cosh(z) * radius * Math.exp((-radius * radius) / 2) };
  });
  const total = rings.reduce((sum, { weight }) => sum + weight, 0);
  const square = rings.reduce((sum, { radius, weight }) => sum + weight * radius ** 2, 0) / total;
  return rings.flatMap(({ radius, weight }, ring) =>
    Array.from({ length: RINGS[ring] }, (_, i) => {
      const angle = ((2 * Math.PI) / RINGS[ring]) * (i + (ring % 2) / 2);
      const length = radius * Math.sqrt(2 / square);
      return {
        u: length * Math.cos(angle),
        v: length * Math.sin(angle),
        weight: weight / total / RINGS[ring],
      };
    }),
  );
}

/** Gauss-Legendre nodes and weights on [-1, 1], ascending. */
function legendre(count) {
  return Array.from({ length: count }, (_, i) => {
    let at = -Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let step = 0; step < 8; step++) {
      let [before, value] = [1, at];
      for (let n = 2; n <= count; n++) {
        [before, value] = [value, ((2 * n - 1) * at * value - (n - 1) * before) / n];
      }
      slope = (count * (at * value - before)) / (at * at - 1);
      at -= value / slope;
    }
    return { at, weight: 2 / ((1 - at * at) * slope * slope) };
  });
}
