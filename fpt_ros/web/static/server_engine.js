// SPDX-License-Identifier: Apache-2.0
// The engine behind the server: each question goes over one WebSocket. See engine.js.

import { connectSocket } from "./connection.js";
import { uprightPicture } from "./engine.js";

/** @returns {Promise<import("./engine.js").Engine>} */
export async function connect() {
  const { connection, hello } = await connectSocket();
  return new ServerEngine(connection, hello);
}

class ServerEngine {
  #connection;
  #lanes = {}; // by kind: how many questions are under way, and the newest that is not yet

  constructor(connection, hello) {
    this.#connection = connection;
    this.model = hello.model;
    this.samples = hello.samples;
    this.can = new Set(hello.can);
  }

  set onClosed(listener) {
    this.#connection.onClosed = listener;
  }

  async openFile(blob) {
    const png = await (await uprightPicture(blob)).convertToBlob();
    const file = new Uint8Array(await png.arrayBuffer());
    const answer = await this.#connection.send("open", {}, { file });
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
    const answer = await this.#connection.send(
      "plan",
      { image: wish.image, camera_moving: wish.cameraMoving, reach: wish.reach, tolerance: wish.tolerance },
      { points: wish.points, goals: wish.goals, stay: wish.stay, touch: wish.touch },
    );
    return answer && { ...answer, pokes: split(answer.pokes, 4), chances: split(answer.chances, answer.shapes.chances[1]) };
  }

  watch(show) {
    const connection = this.#connection;
    const listener = async ({ file, ...frame }) => {
      const bitmap = file.length ? await createImageBitmap(new Blob([file])) : null;
      if (connection.onFrame === listener) show({ ...frame, bitmap }); // it may have ended meanwhile
    };
    connection.onFrame = show && listener;
    connection.send("watch", { on: show !== null }).catch(() => {}); // `onClosed` says what is wrong
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
    this.#connection.send(kind, fields, arrays).then(resolve, reject).finally(ended);
  }

  /** A picture that the server has: it sends the pixels. */
  async #open(fields) {
    const answer = await this.#connection.send("open", fields);
    if (!answer) return null;
    const { file, ...picture } = answer;
    return { ...picture, bitmap: await createImageBitmap(new Blob([file])) };
  }
}

/** Flat values as rows. */
function split(values, width) {
  const count = width ? values.length / width : 0;
  return Array.from({ length: count }, (_, i) => Array.from(values.subarray(i * width, (i + 1) * width)));
}
