// SPDX-License-Identifier: Apache-2.0
// Random numbers that a seed repeats. (The library's generator gives others for the same seed.)

/** @param {number} seed @returns {() => number} numbers from [0, 1) (mulberry32, T. Ettinger) */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Two independent standard normal numbers (Box and Muller). */
export function normals(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  const angle = 2 * Math.PI * random();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** The numbers below `count` in random order. */
export function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A displacement drawn from a mixture (see ../mixture.js). */
export function draw({ weights, means, covariances }, random) {
  let left = random();
  let k = 0;
  while (k < weights.length - 1 && left >= weights[k]) left -= weights[k++];
  const [u, v] = normals(random);
  const [xx, xy, yy] = covariances[k];
  const first = Math.sqrt(xx);
  const below = xy / first;
  const second = Math.sqrt(Math.max(yy - below * below, 0));
  return [means[k][0] + first * u, means[k][1] + below * u + second * v];
}
