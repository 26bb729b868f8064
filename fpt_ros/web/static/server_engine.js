// SPDX-License-Identifier: Apache-2.0
// The engine behind the server: each question goes over one WebSocket. See engine.js.

import { uprightPicture } from "./engine.js";
import { pack, unpack } from "./messages.js";

const rows = (values, width) => ["f4", [values.length, width], values.flat()];

/** @returns {Promise<import("./engine.js").Engine>} */
export async function connect() {
  const address = new URL("socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const hello = await new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(unpack(event.data));
    socket.onerror = socket.onclose = () => reject(new Error("The server does not answer."));
  });
  return new ServerEngine(socket, hello);
}

class ServerEngine {
  #socket;
  #number = 0;
  #waiting = new Map();
  #showFrame = null;
  #lanes = {}; // by kind: how many questions are under way, and the newest that is not yet
  onClosed = null;

  constructor(socket, hello) {
    this.#socket = socket;
    this.model = hello.model;
    this.samples = hello.samples;
    this.can = new Set(hello.can);
    socket.onmessage = (event) => this.#receive(unpack(event.data));
    socket.onerror = null;
    socket.onclose = () => this.#closed();
  }

  async openFile(blob) {
    const png = await (await uprightPicture(blob)).convertToBlob();
    const file = new Uint8Array(await png.arrayBuffer());
    const answer = await this.#send("open", {}, { file: ["u1", [file.length], file] });
    return answer && { ...answer, bitmap: await createImageBitmap(png) };
  }

  openSample(name, frame) {
    return this.#open({ sample: name, frame });
  }

  openLive(stamp) {
    return this.#open({ stamp });
  }

  predict(question) {
    return this.#ask("predict", question).then(
      (answer) => answer && { ...answer, components: answer.shapes.weights[1] },
    );
  }

  field(question) {
    return this.#ask("field", question);
  }

  sample(question, samples, seed) {
    return this.#ask("sample", question, { samples, seed });
  }

  async plan(wish) {
    const answer = await this.#send(
      "plan",
      { image: wish.image, camera_moving: wish.cameraMoving, reach: wish.reach, tolerance: wish.tolerance },
      { points: rows(wish.points, 2), goals: rows(wish.goals, 2), stay: rows(wish.stay, 2), touch: rows(wish.touch, 3) },
    );
    return answer && { ...answer, pokes: split(answer.pokes, 4), chances: split(answer.chances, answer.shapes.chances[1]) };
  }

  watch(show) {
    this.#showFrame = show;
    return this.#send("watch", { on: show !== null });
  }

  #ask(kind, question, more = {}) {
    const lane = (this.#lanes[kind] ??= { underWay: 0, next: null });
    return new Promise((resolve, reject) => {
      lane.next?.resolve(null);
      lane.next = { question, more, resolve, reject };
      this.#advance(kind, lane);
    });
  }

  /** Send the newest question; one may wait at the server while another is computed. */
  #advance(kind, lane) {
    if (!lane.next || lane.underWay >= 2) return;
    const { question, more, resolve, reject } = lane.next;
    lane.next = null;
    lane.underWay += 1;
    const fields = { image: question.image, camera_moving: question.cameraMoving, ...more };
    const arrays = { pokes: rows(question.pokes, 4), points: rows(question.points, 2) };
    const ended = () => {
      lane.underWay -= 1;
      this.#advance(kind, lane);
    };
    this.#send(kind, fields, arrays).then(resolve, reject).finally(ended);
  }

  /** A picture that the server has: it sends the pixels. */
  async #open(fields) {
    const answer = await this.#send("open", fields);
    return answer && { ...answer, bitmap: await createImageBitmap(new Blob([answer.file])) };
  }

  #send(kind, fields, arrays = {}) {
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(pack({ kind, id, ...fields }, arrays));
    });
  }

  async #receive(message) {
    if (message.kind === "frame") {
      const bitmap = await createImageBitmap(new Blob([message.file]));
      this.#showFrame?.({ stamp: message.stamp, bitmap });
      return;
    }
    const { resolve, reject } = this.#waiting.get(message.id) ?? { resolve() {}, reject() {} };
    this.#waiting.delete(message.id);
    if (message.kind === "error") reject(new Error(message.message));
    else resolve(message.kind === "replaced" ? null : message);
  }

  #closed() {
    for (const { reject } of this.#waiting.values()) reject(new Error("The server has gone."));
    this.#waiting.clear();
    this.onClosed?.();
  }
}

/** Flat values as rows. */
function split(values, width) {
  const count = width ? values.length / width : 0;
  return Array.from({ length: count }, (_, i) => Array.from(values.subarray(i * width, (i + 1) * width)));
}
