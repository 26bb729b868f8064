// SPDX-License-Identifier: Apache-2.0
// Pixels of a picture and the unit square that the model sees, as fpt_ros/inference/view.py has
// them (fit `crop`), and the picture as the model takes it.

/** The central square of a picture: `side` pixels from (`left`, `top`) on. */
export function makeView(width, height) {
  const side = Math.min(width, height);
  return { width, height, side, left: halved(width - side), top: halved(height - side) };
}

/** Half of a whole number, rounded as Python does: halves to the even number. */
function halved(number) {
  const low = Math.floor(number / 2);
  return number % 2 ? low + (low % 2) : low;
}

/** A point [x, y] of the picture in the model's units. */
export function toUnit({ side, left, top }, [x, y]) {
  return [(x + 0.5 - left) / side, (y + 0.5 - top) / side];
}

/** The square as the model takes it: values from -1 to 1, planes of red, green and blue, resized
 *  bilinearly with antialiasing.
 *  @param {{data: Uint8ClampedArray, width: number}} picture RGBA @returns {Float32Array} */
export function squareOf({ data, width }, { side, left, top }, size) {
  const weights = shares(side, size);
  const narrow = new Float32Array(3 * side * size); // [channel, row, new column]
  for (let row = 0; row < side; row++) {
    const start = 4 * ((row + top) * width + left);
    weights.forEach(({ first, share }, column) => {
      const sum = [0, 0, 0];
      for (let i = 0, at = start + 4 * first; i < share.length; i++, at += 4) {
        for (let c = 0; c < 3; c++) sum[c] += share[i] * data[at + c];
      }
      for (let c = 0; c < 3; c++) narrow[(c * side + row) * size + column] = sum[c];
    });
  }
  const square = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) {
    weights.forEach(({ first, share }, row) => {
      for (let column = 0; column < size; column++) {
        let sum = 0;
        for (let i = 0; i < share.length; i++) {
          sum += share[i] * narrow[(c * side + first + i) * size + column];
        }
        square[(c * size + row) * size + column] = sum / 127.5 - 1;
      }
    });
  }
  return square;
}

/** How much each old pixel has in each new one: a triangle about the new one's centre. */
function shares(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.floor(centre - reach + 0.5), 0);
    const end = Math.min(Math.floor(centre + reach + 0.5), from);
    const raw = Array.from({ length: end - first }, (_, j) =>
      Math.max(0, 1 - Math.abs(first + j + 0.5 - centre) / reach),
    );
    const total = raw.reduce((a, b) => a + b, 0);
    return { first, share: raw.map((value) => value / total) };
  });
}
