// SPDX-License-Identifier: Apache-2.0
// The page's connection to the server: requests, their answers, and frames of the live camera.

import { pack, unpack } from "./messages.js";

const GONE = "The server has gone. Start it again and reload the page.";

/** @returns {Promise<{connection: Connection, hello: object}>} once the server has greeted. */
export async function connectSocket() {
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
  return { connection: new Connection(socket, description), hello };
}

class Connection {
  #socket;
  #description;
  #number = 0;
  #waiting = new Map(); // by the request's id
  /** Called with each frame of the live camera. */
  onFrame = null;
  /** Called with what to say when the server has gone. */
  onClosed = null;

  constructor(socket, description) {
    this.#socket = socket;
    this.#description = description;
    socket.onmessage = (event) => this.#receive(unpack(event.data));
    socket.onerror = null;
    socket.onclose = () => this.#closed();
  }

  /** @param {Object<string, ArrayLike<number>|number[][]>} arrays as messages.json has them
   *  @returns {Promise<object|null>} the answer; null if a newer request replaced this one */
  async send(kind, fields, arrays = {}) {
    if (this.#socket.readyState !== WebSocket.OPEN) throw new Error(GONE);
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

  #receive(message) {
    if (message.kind === "frame") {
      this.onFrame?.(message);
      return;
    }
    const { resolve, reject } = this.#waiting.get(message.id) ?? { resolve() {}, reject() {} };
    this.#waiting.delete(message.id);
    if (message.kind === "error") reject(new Error(message.message));
    else resolve(message.kind === "replaced" ? null : message);
  }

  #closed() {
    for (const { reject } of this.#waiting.values()) reject(new Error(GONE));
    this.#waiting.clear();
    this.onClosed?.(GONE);
  }
}
