// SPDX-License-Identifier: Apache-2.0
// The exported stages in ONNX Runtime, see docs/export.md: a picture's tensors once, then mixtures.

import * as ort from "../ort/ort.wasm.min.mjs";
import { fromHalf } from "./half.js";

ort.env.wasm.wasmPaths = new URL("../ort/", import.meta.url).href;
// More threads need memory that they share, which browsers give to isolated pages alone.
if (!crossOriginIsolated) ort.env.wasm.numThreads = 1;

const FOLDER = new URL("../model/", import.meta.url);

export class Model {
  #predict;
  #image = null;

  /** @param {object} description model.json */
  constructor(description, predict) {
    this.description = description;
    this.size = description.view_size;
    this.components = description.components;
    this.#predict = predict;
  }

  static async load() {
    const description = await (await fetched(new URL("model.json", FOLDER))).json();
    return new Model(description, await session(description.stages.predict));
  }

  /** A picture's tensors, by name. The encoder is fetched when it is needed first.
   *  @param {Float32Array} square planes of the picture, see view.js */
  async embed(square) {
    this.#image ??= session(this.description.stages.image).catch((error) => {
      this.#image = null; // it is tried again with the next picture
      throw error;
    });
    const images = new ort.Tensor("float32", square, [1, 3, this.size, this.size]);
    return (await this.#image).run({ images });
  }

  /** The same of a picture that was embedded beforehand. @param {URL} address */
  async embedded(address) {
    const numbers = fromHalf(new Uint16Array(await (await fetched(address)).arrayBuffer()));
    const tensors = {};
    let at = 0;
    for (const { name, shape } of this.description.stages.image.outputs) {
      const count = shape.reduce((product, side) => product * side, 1);
      tensors[name] = new ort.Tensor("float32", numbers.subarray(at, at + count), shape);
      at += count;
    }
    return tensors;
  }

  /** Mixtures of each row's points, in the model's units.
   *  @param {object} image tensors @param {number[][][]} pokes rows of [x, y, dx, dy]
   *  @param {number[][][]} points rows of [x, y], as many in each
   *  @returns {Promise<{logits: Float64Array, locs: Float64Array, scale_tril: Float64Array}>} */
  async predict(image, pokes, points, cameraMoving) {
    const most = Math.max(1, ...pokes.map((row) => row.length)); // no poke: one that is padding
    const padded = pokes.map((row) => Array.from({ length: most }, (_, i) => row[i] ?? [0, 0, 0, 0]));
    const each = (rows, from) => rows.flatMap((row) => row.flatMap((one) => one.slice(from, from + 2)));
    const floats = (values, count) =>
      new ort.Tensor("float32", Float32Array.from(values), [pokes.length, count, 2]);
    const lengths = BigInt64Array.from(pokes, (row) => BigInt(row.length));
    const found = await this.#predict.run({
      ...image,
      poke_pos: floats(each(padded, 0), most),
      poke_flow: floats(each(padded, 2), most),
      query_pos: floats(each(points, 0), points[0].length),
      lengths: new ort.Tensor("int64", lengths, [pokes.length, 1]),
      camera_static: new ort.Tensor("bool", pokes.map(() => !cameraMoving), [pokes.length]),
    });
    return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
  }
}

async function session({ file }) {
  const bytes = await (await fetched(new URL(file, FOLDER))).arrayBuffer();
  return ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"] });
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address.pathname} cannot be loaded: ${response.status}`);
  return response;
}
