// SPDX-License-Identifier: Apache-2.0
// Half precision, in which the pictures that were embedded beforehand are stored.

/** @param {Uint16Array} halves float16 as they lie in memory @returns {Float32Array} the same numbers */
export function fromHalf(halves) {
  values ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => valueOf(half));
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = values[halves[i]];
  return floats;
}

let values = null; // of each half

function valueOf(half) {
  const [exponent, fraction] = [(half >> 10) & 31, (half & 1023) / 1024];
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 1 + fraction : 2 * fraction) * 2 ** (exponent - 15);
}
