// SPDX-License-Identifier: Apache-2.0
/* What answers the page: an engine. There are two, with the same few functions: the server's
 * (server_engine.js) and the one that computes in the tab (tab_engine.js, in the page without a
 * server). The page's <meta name="engine"> names the module, which exports `connect`.
 *
 * Everywhere: pixels of the picture, x right, y down, (0, 0) the centre of the top-left pixel.
 * Arrays are flat Float32Arrays, row by row. Every answer has `milliseconds`: how long it was
 * computed. Of several requests of one kind, only the newest is computed: a promise whose request
 * was replaced by a newer one gives null. A promise is rejected with an Error whose message can
 * be shown.
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {string} license
 * @property {string} where computed: "this computer, in the tab", "cpu", "the node /fpt"
 * @property {number} side of the square that the model sees, its own pixels
 *
 * @typedef {object} Sample a picture that is offered, or a film of several frames
 * @property {string} name for `open`
 * @property {string} title
 * @property {number[][]} pokes to begin with, rows [x, y, dx, dy]
 * @property {number[]} query the point to ask about first, [x, y]; empty: none
 *
 * @typedef {object} LiveFrame of a node's camera
 * @property {string} stamp
 * @property {ImageBitmap|null} bitmap null: there is none yet, or no newer one
 * @property {Model} model who answers about it
 * @property {string} message why there is none yet, where that is known
 *
 * @typedef {object} Picture
 * @property {number} image its number, for requests
 * @property {number} width
 * @property {number} height
 * @property {ImageBitmap} bitmap exactly the pixels that the model is given
 * @property {Model} [model] that answers about it, where it is not the engine's own: a node's
 * @property {number} [frame] its number in a film
 * @property {number} [frames] how many the film has
 *
 * @typedef {object} Question
 * @property {number} image
 * @property {number[][]} pokes rows [x, y, dx, dy]
 * @property {number[][]} points rows [x, y]
 * @property {boolean} cameraMoving
 *
 * @typedef {object} Mixtures of normals over the displacements of n points
 * @property {number} components k
 * @property {Float32Array} weights [n, k]
 * @property {Float32Array} means [n, k, 2]
 * @property {Float32Array} covariances [n, k, 3] xx, xy, yy
 * @property {number} milliseconds
 *
 * @typedef {object} Field
 * @property {Float32Array} mean [n, 2] displacements
 * @property {Float32Array} moving [n] the probability that the point moves along with the pokes;
 *     0 where the pokes change nothing
 * @property {number} milliseconds
 *
 * @typedef {object} Futures
 * @property {Float32Array} displacements [s, n, 2]: each of the s agrees with itself
 * @property {number} milliseconds
 *
 * @typedef {object} Wish what a plan is for
 * @property {number} image
 * @property {boolean} cameraMoving
 * @property {number[][]} points rows [x, y]
 * @property {number[][]} goals rows [dx, dy], where each of them should go
 * @property {number[][]} stay rows [x, y]: points that must not move
 * @property {number[][]} touch rows [x, y, radius]: discs where one may touch; none: anywhere
 * @property {number} reach the longest poke
 * @property {number} tolerance distance to a goal that still counts as reached
 *
 * @typedef {object} Plans best first
 * @property {number[][]} pokes rows [x, y, dx, dy]
 * @property {number[][]} chances of each plan: for each of `points`, then of `stay`
 * @property {string[]} reasons why a plan will hardly work; empty if it may
 * @property {number} milliseconds
 *
 * @typedef {object} Engine
 * @property {Model} model
 * @property {Sample[]} samples
 * @property {Set<string>} can which of "predict", "field", "sample", "plan", "watch" it does
 * @property {(blob: Blob) => Promise<Picture>} openFile a picture of the person's own
 * @property {(name: string, frame: number|null) => Promise<Picture>} openSample null: the first
 * @property {(stamp: string) => Promise<Picture>} openLive a frame that `watch` has shown
 * @property {(question: Question) => Promise<Mixtures|null>} predict
 * @property {(question: Question) => Promise<Field|null>} field
 * @property {(question: Question, samples: number, seed: number) => Promise<Futures|null>} sample
 * @property {(wish: Wish) => Promise<Plans|null>} plan
 * @property {(show: ((frame: LiveFrame) => void)|null) => void} watch the live camera from now on, each
 *     newest frame; null: no longer
 * @property {((message: string) => void)|null} onClosed called when the engine is gone, with what to say
 */

/** @returns {Promise<Engine>} the engine that the page names. */
export async function connectEngine() {
  const module = document.querySelector("meta[name=engine]").content;
  return (await import(module)).connect();
}

/** A picture file as the model shall see it: upright, opaque, of at most `side` pixels a side.
 * @param {Blob} blob any format that the browser shows
 * @returns {Promise<OffscreenCanvas>} */
export async function uprightPicture(blob, side = 1280) {
  const whole = await createImageBitmap(blob).catch(() => {
    throw new Error("This file is not a picture that the browser can read.");
  });
  const scale = Math.min(1, side / Math.max(whole.width, whole.height));
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(whole.width * scale)),
    Math.max(1, Math.round(whole.height * scale)),
  );
  const context = canvas.getContext("2d", { alpha: false });
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  return canvas;
}
