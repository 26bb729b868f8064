// SPDX-License-Identifier: Apache-2.0
// Asks the engine whenever what it was asked about has changed.

import { makeGrid } from "./grid.js";
import { activePokes, change, onChange, queryPoint, state } from "./state.js";

const COARSE = 300; // points while something is dragged: the answer follows
const FINE = 1728; // points at rest
const FUTURES = 4;
const FUTURE_POINTS = 108; // sampled one after the other
const GIVEN = ["picture", "pokes", "poked", "cameraMoving"];
const failures = new Map(); // kind of question to what the last one that failed was answered

/** @param {import("./engine.js").Engine} engine */
export function askWhenNeeded(engine) {
  onChange((names) => {
    if (!state.picture) return;
    const given = GIVEN.some((name) => names.has(name));
    if (given || names.has("query") || names.has("hover")) askQuery(engine);
    if (given || names.has("touched")) askField(engine);
    if (given) change({ futures: null, future: -1, message: "" });
  });
}

async function askQuery(engine) {
  const point = queryPoint();
  if (!point) return change({ mixtures: null });
  const mixtures = await timed("query", (question) => engine.predict({ ...question, points: [point] }));
  if (mixtures) change({ mixtures });
}

let fieldsAsked = 0;

/** Few points first, which even a slow model answers soon. */
async function askField(engine) {
  const number = ++fieldsAsked;
  const { width, height } = state.picture;
  for (const count of state.touched ? [COARSE] : [COARSE, FINE]) {
    const grid = makeGrid(width, height, count);
    const field = await timed("field", (question) => engine.field({ ...question, points: grid.points }));
    if (field) change({ field: { ...field, grid } });
    if (!field || number !== fieldsAsked) return;
  }
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

/** The answer to a question about the present picture and pokes; null if it came too late. It takes
 *  back what the last question of its kind failed with, and no other message. */
export async function timed(kind, ask) {
  const { picture, cameraMoving } = state;
  const begin = performance.now();
  const question = { image: picture.image, pokes: activePokes(), cameraMoving };
  const wanted = () => picture === state.picture;
  const answer = await waiting(() => ask(question), wanted, kind);
  if (!answer || !wanted()) return null;
  change({ latency: { ...state.latency, [kind]: performance.now() - begin } });
  if (state.message === failures.get(kind)) change({ message: "" });
  return answer;
}

/** What `ask` gives, counted in `asking` meanwhile; null, and a message if it is still `wanted`, where
 *  it fails. */
export async function waiting(ask, wanted = () => true, kind = "") {
  change({ asking: state.asking + 1 });
  try {
    return await ask();
  } catch (error) {
    failures.set(kind, error.message);
    if (wanted()) change({ message: error.message });
    return null;
  } finally {
    setTimeout(() => change({ asking: state.asking - 1 })); // once the answer is in the state
  }
}
