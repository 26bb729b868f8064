// SPDX-License-Identifier: Apache-2.0
// Messages between page and server: a JSON header and arrays behind it, as messages.json says.

const ARRAYS = { f4: Float32Array, u1: Uint8Array };
const aligned = (bytes) => (bytes + 3) & ~3;

/** @param {object} header @param {Object<string, [string, number[], ArrayLike<number>]>} arrays
 *  each with its type, shape and values @returns {ArrayBuffer} */
export function pack(header, arrays) {
  const listed = Object.entries(arrays).map(([name, [type, shape]]) => [name, type, shape]);
  const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: listed }));
  const parts = Object.values(arrays).map(([type, , values]) => ARRAYS[type].from(values));
  const total = parts.reduce((sum, part) => sum + aligned(part.byteLength), aligned(4 + text.length));
  const message = new Uint8Array(total);
  new DataView(message.buffer).setUint32(0, text.length, true);
  message.set(text, 4);
  let at = aligned(4 + text.length);
  for (const part of parts) {
    message.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += aligned(part.byteLength);
  }
  return message.buffer;
}

/** The header, with each array as a property, and its shape in `shapes`. @param {ArrayBuffer} buffer */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const message = { ...header, shapes: {} };
  let at = aligned(4 + length);
  for (const [name, type, shape] of header.arrays) {
    const count = shape.reduce((product, side) => product * side, 1);
    message[name] = new ARRAYS[type](buffer, at, count);
    message.shapes[name] = shape;
    at += aligned(message[name].byteLength);
  }
  return message;
}
