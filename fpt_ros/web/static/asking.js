// SPDX-License-Identifier: Apache-2.0
// Asks the engine whenever what it was asked about has changed.

import { makeGrid } from "./grid.js";
import { activePokes, change, onChange, queryPoint, state } from "./state.js";

const COARSE = 300; // points while something is dragged: the answer follows
const FINE = 1728; // points at rest
const FUTURES = 4;
const FUTURE_POINTS = 108; // sampled one after the other
const GIVEN = ["picture", "pokes", "poked", "cameraMoving"];

/** @param {import("./engine.js").Engine} engine */
export function askWhenNeeded(engine) {
  onChange((names) => {
    if (!state.picture) return;
    const given = GIVEN.some((name) => names.has(name));
    if (given || names.has("query") || names.has("hover")) askQuery(engine);
    if (given || names.has("touched")) askField(engine);
    if (given) change({ futures: null, future: -1 });
  });
}

async function askQuery(engine) {
  const point = queryPoint();
  if (!point) return change({ mixtures: null });
  const mixtures = await timed("query", (question) => engine.predict({ ...question, points: [point] }));
  if (mixtures) change({ mixtures });
}

async function askField(engine) {
  const { picture, touched } = state;
  const grid = makeGrid(picture.width, picture.height, touched ? COARSE : FINE);
  const field = await timed("field", (question) => engine.field({ ...question, points: grid.points }));
  if (field) change({ field: { ...field, grid } });
}

/** Several joint futures of the whole picture; takes a second or more. */
export async function askFutures(engine, seed) {
  const { picture } = state;
  const grid = makeGrid(picture.width, picture.height, FUTURE_POINTS);
  const futures = await timed("futures", (question) =>
    engine.sample({ ...question, points: grid.points }, FUTURES, seed),
  );
  if (!futures) return;
  const length = 2 * grid.points.length;
  const shifts = Array.from({ length: FUTURES }, (_, i) =>
    futures.displacements.subarray(i * length, (i + 1) * length),
  );
  change({ futures: { grid, shifts } });
}

/** The answer to a question about the present picture and pokes; null if it came too late. */
async function timed(kind, ask) {
  const { picture, cameraMoving } = state;
  const begin = performance.now();
  change({ asking: state.asking + 1 });
  try {
    const answer = await ask({ image: picture.image, pokes: activePokes(), cameraMoving });
    if (!answer || picture !== state.picture) return null;
    change({ latency: { ...state.latency, [kind]: performance.now() - begin }, message: "" });
    return answer;
  } catch (error) {
    if (picture === state.picture) change({ message: error.message });
    return null;
  } finally {
    queueMicrotask(() => change({ asking: state.asking - 1 })); // once the answer is in the state
  }
}
