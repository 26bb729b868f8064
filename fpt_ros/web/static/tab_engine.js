// SPDX-License-Identifier: Apache-2.0
// The engine that computes in the tab, in a worker. See engine.js.

import { uprightPicture } from "./engine.js";

/** @returns {Promise<import("./engine.js").Engine>} */
export async function connect() {
  const engine = new TabEngine(new Worker(new URL("tab/worker.js", import.meta.url), { type: "module" }));
  await engine.load();
  return engine;
}

class TabEngine {
  #worker;
  #number = 0;
  #waiting = new Map();
  can = new Set(["predict", "field", "sample", "plan"]);
  onClosed = null;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => this.#failed(event.message);
  }

  async load() {
    const samples = fetch(new URL("samples/samples.json", import.meta.url));
    const { description } = await this.#send("hello", {});
    this.samples = await (await samples).json();
    this.model = {
      name: description.checkpoint,
      license: description.license,
      where: "this computer, in the tab",
      side: description.view_size,
    };
  }

  async openFile(blob) {
    const canvas = await uprightPicture(blob);
    const { width, height } = canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return this.#open({ width, height, pixels }, canvas.transferToImageBitmap());
  }

  async openSample(name) {
    const sample = this.samples.find((each) => each.name === name);
    if (!sample) throw new Error(`This page has no picture ${name}.`);
    const address = (file) => new URL(`samples/${file}`, import.meta.url);
    const bitmap = await createImageBitmap(await (await fetch(address(sample.file))).blob());
    const { width, height } = bitmap;
    return this.#open({ width, height, embedded: address(`${name}.f16`).href }, bitmap);
  }

  predict(question) {
    return this.#send("predict", question);
  }

  field(question) {
    return this.#send("field", question);
  }

  sample(question, samples, seed) {
    return this.#send("sample", { ...question, samples, seed });
  }

  plan(wish) {
    return this.#send("plan", wish);
  }

  watch() {}

  async #open(picture, bitmap) {
    const { width, height } = bitmap;
    const answer = await this.#send("open", picture);
    return answer && { ...answer, width, height, bitmap, frame: 0, frames: 1 };
  }

  #send(kind, question) {
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, kind, ...question });
    });
  }

  #receive({ id, answer, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  }

  #failed(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(`The model cannot run: ${message}`));
    this.#waiting.clear();
  }
}
