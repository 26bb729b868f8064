// SPDX-License-Identifier: Apache-2.0
// The engine behind the server: each question goes over one WebSocket. See engine.js.

import { uprightPicture } from "./engine.js";
import { pack, unpack } from "./messages.js";

/** @returns {Promise<import("./engine.js").Engine>} */
export async function connect() {
  const description = await (await fetch("messages.json")).json();
  const address = new URL("socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const hello = await new Promise((resolve, reject) => {
    socket.onmessage = (event) => resolve(unpack(event.data));
    socket.onerror = socket.onclose = () => reject(new Error("The server does not answer."));
  });
  return new ServerEngine(socket, hello, description);
}

class ServerEngine {
  #socket;
  #description;
  #number = 0;
  #waiting = new Map();
  #showFrame = null;
  #lanes = {}; // by kind: how many questions are under way, and the newest that is not yet
  onClosed = null;

  constructor(socket, hello, description) {
    this.#socket = socket;
    this.#description = description;
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
    const answer = await this.#send("open", {}, { file });
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
      { points: wish.points, goals: wish.goals, stay: wish.stay, touch: wish.touch },
    );
    return answer && { ...answer, pokes: split(answer.pokes, 4), chances: split(answer.chances, answer.shapes.chances[1]) };
  }

  watch(show) {
    this.#showFrame = show;
    return this.#send("watch", { on: show !== null }).then(({ model }) => model);
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
    const arrays = { pokes: question.pokes, points: question.points };
    const ended = () => {
      lane.underWay -= 1;
      this.#advance(kind, lane);
    };
    this.#send(kind, fields, arrays).then(resolve, reject).finally(ended);
  }

  /** A picture that the server has: it sends the pixels. */
  async #open(fields) {
    const answer = await this.#send("open", fields);
    if (!answer) return null;
    const { file, ...picture } = answer;
    return { ...picture, bitmap: await createImageBitmap(new Blob([file])) };
  }

  /** @param {Object<string, ArrayLike<number>|number[][]>} arrays as messages.json has them */
  async #send(kind, fields, arrays = {}) {
    const id = ++this.#number;
    const packed = pack({ kind, id, ...fields }, this.#checked(kind, arrays));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(packed);
    });
  }

  /** Each array with its type and shape; an Error where there are more rows than allowed. */
  #checked(kind, arrays) {
    const { requests, limits } = this.#description;
    return Object.fromEntries(
      Object.entries(arrays).map(([name, values]) => {
        const [type, [most, ...rest]] = requests[kind].arrays[name];
        if (values.length > (limits[most] ?? limits.message_bytes)) {
          throw new Error(`Too much: ${values.length} ${name}, at most ${limits[most]} are allowed.`);
        }
        return [name, [type, [values.length, ...rest], rest.length ? values.flat() : values]];
      }),
    );
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
