// SPDX-License-Identifier: Apache-2.0
// A picture in the tab, and the answers about it, as fpt_ros/web/pictures.py has them: each in
// steps between which other requests have their turn.

import { mean, mixtureAt } from "../mixture.js";
import { divergence, probabilityWithin } from "./integrals.js";
import { draw, shuffled, uniform } from "./random.js";
import { toUnit } from "./view.js";

const AT_ONCE = 256; // points
export const MOVING = 0.005; // sides of the view, see fpt_ros/inference/moving.py
const DRAWN = 24; // points of a future
const UNPOKED_KEPT = 4;
const LIKELY = 0.5; // see fpt_ros/inference/moving_part.py

export class TabPicture {
  #model;
  #tensors;
  #unpoked = new Map();

  /** @param {import("./model.js").Model} model @param {object} view see view.js
   *  @param {object} tensors of the embedded picture */
  constructor(model, view, tensors) {
    this.#model = model;
    this.#tensors = tensors;
    this.view = view;
  }

  async *predict({ pokes, points, cameraMoving }) {
    const parts = [];
    for (let start = 0; start < points.length; start += AT_ONCE) {
      if (start) yield;
      const some = points.slice(start, start + AT_ONCE);
      parts.push(await this.ask([distinct(pokes)], [some], cameraMoving));
    }
    return joined(parts);
  }

  /** Means, and how probable it is that the points move along: 0 where the pokes change nothing. */
  async *field({ pokes, points, cameraMoving }) {
    const poked = yield* this.predict({ pokes, points, cameraMoving });
    const mixtures = points.map((_, i) => mixtureAt(poked, i));
    const found = { mean: new Float32Array(mixtures.flatMap(mean)), moving: new Float32Array(points.length) };
    if (!pokes.length) return found;
    yield;
    const unpoked = yield* this.#withoutPokes(points, cameraMoving);
    const threshold = this.#model.description.config.motion_threshold;
    mixtures.forEach((mixture, i) => {
      const moving = this.moving(mixture);
      if (moving > LIKELY && divergence(mixture, mixtureAt(unpoked, i)) > threshold) {
        found.moving[i] = moving;
      }
    });
    return found;
  }

  /** Each future takes the points in an order of its own. The first ones are drawn one after the
   *  other, each given the pokes and the points before it; the others then have the mean motion that
   *  these let expect: as in the demo of the paper, and many times as fast as drawing all. */
  async *sample({ pokes, points, cameraMoving, samples, seed }) {
    const random = uniform(seed);
    const orders = Array.from({ length: samples }, () => shuffled(points.length, random));
    const rows = orders.map(() => distinct(pokes));
    const displacements = new Float32Array(samples * points.length * 2);
    const put = (s, point, flow) => displacements.set(flow, 2 * (s * points.length + point));
    for (let step = 0; step < Math.min(DRAWN, points.length); step++) {
      const mixtures = await this.ask(rows, orders.map((order) => [points[order[step]]]), cameraMoving);
      orders.forEach((order, s) => {
        const flow = draw(mixtureAt(mixtures, s), random);
        put(s, order[step], flow);
        rows[s].push([...points[order[step]], ...flow]);
      });
      yield;
    }
    const atOnce = Math.max(1, Math.floor(AT_ONCE / samples));
    for (let start = DRAWN; start < points.length; start += atOnce) {
      const others = orders.map((order) => order.slice(start, start + atOnce));
      const asked = others.map((some) => some.map((point) => points[point]));
      const mixtures = await this.ask(rows, asked, cameraMoving);
      others.forEach((some, s) =>
        some.forEach((point, i) => put(s, point, mean(mixtureAt(mixtures, s * some.length + i)))),
      );
      yield;
    }
    return { displacements };
  }

  /** The probability of a motion that training would call one. */
  moving(mixture) {
    return 1 - probabilityWithin(mixture, [0, 0], MOVING * this.view.side);
  }

  /** Mixtures of each row's points given its pokes, in pixels, row after row. */
  async ask(pokes, points, cameraMoving) {
    const { side } = this.view;
    const unit = (row) => row.map(([x, y, ...flow]) => [...toUnit(this.view, [x, y]), ...flow.map((d) => d / side)]);
    const found = await this.#model.predict(this.#tensors, pokes.map(unit), points.map(unit), cameraMoving);
    const { logits, locs, scale_tril: tril } = found;
    const covariances = new Float32Array(3 * logits.length);
    for (let i = 0; i < logits.length; i++) {
      const [first, , below, second] = tril.subarray(4 * i, 4 * i + 4).map((value) => value * side);
      covariances.set([first * first, first * below, below * below + second * second], 3 * i);
    }
    return {
      components: this.#model.components,
      weights: Float32Array.from(logits, Math.exp),
      means: Float32Array.from(locs, (value) => value * side),
      covariances,
    };
  }

  /** Kept for the page's grids. */
  async *#withoutPokes(points, cameraMoving) {
    const key = `${cameraMoving} ${points}`;
    if (!this.#unpoked.has(key)) {
      if (this.#unpoked.size === UNPOKED_KEPT) this.#unpoked.clear();
      this.#unpoked.set(key, yield* this.predict({ pokes: [], points, cameraMoving }));
    }
    return this.#unpoked.get(key);
  }
}

/** Pokes that are equal to a hundredth of a pixel count once. */
function distinct(pokes) {
  return [...new Map(pokes.toReversed().map((poke) => [poke.map((v) => v.toFixed(2)).join(), poke])).values()].toReversed();
}

function joined(parts) {
  if (parts.length === 1) return parts[0];
  const all = (name) => {
    const whole = new Float32Array(parts.reduce((sum, part) => sum + part[name].length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part[name], at);
      at += part[name].length;
    }
    return whole;
  };
  return {
    components: parts[0].components,
    weights: all("weights"),
    means: all("means"),
    covariances: all("covariances"),
  };
}
