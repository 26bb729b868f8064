// SPDX-License-Identifier: Apache-2.0
// What the page shows, in one object. Whoever changes it calls `change`; whoever draws, listens.

export const state = {
  /** @type {{sample: string, frame: number}|{file: true}|{live: true}|null} */
  source: null,
  /** @type {import("./engine.js").Picture|null} */
  picture: null,
  frames: 1,
  /** Who answers. @type {import("./engine.js").Model|null} */
  model: null,
  /** The newest frame of the live camera while it is not frozen. @type {ImageBitmap|null} */
  liveFrame: null,

  pokes: [], // rows [x, y, dx, dy]
  query: null, // [x, y] the point that stays asked about
  hover: null, // [x, y] where the pointer is
  touched: false, // a gesture or a key press is under way: answers may be coarse

  tool: "poke", // poke, or for a plan: goal, stay, touch
  goals: [], // rows [x, y, dx, dy]
  stay: [], // rows [x, y]
  touch: [], // rows [x, y, radius]
  plans: null, // of the engine
  plan: 0, // which of them is shown

  show: "colour", // colour, arrows, part or nothing
  poked: true, // false: as if nobody poked
  cameraMoving: false,
  playing: false,
  phase: 0, // how far the picture has moved, 0 to 1
  future: -1, // the sample that the picture moves along; -1: the mean

  mixtures: null, // at the query point
  field: null, // with its grid
  futures: null, // with their grid
  asking: 0, // questions without an answer yet, and pictures that are being opened
  latency: {}, // milliseconds of the last answers, by kind, from question to answer
  message: "", // what went wrong
};

const listeners = [];

/** Call `listener` with the set of names whose values changed, after each change. */
export function onChange(listener) {
  listeners.push(listener);
}

/** @param {Partial<typeof state>} values */
export function change(values) {
  const names = new Set(Object.keys(values).filter((name) => state[name] !== values[name]));
  Object.assign(state, values);
  if (names.size) for (const listener of listeners) listener(names);
}

/** The pokes that count: none, where the person wants to see what happens without. */
export const activePokes = () => (state.poked ? state.pokes : []);

/** The point that is asked about. */
export const queryPoint = () => state.hover ?? state.query;

const undone = [];
const UNDOABLE = ["pokes", "goals", "stay", "touch"];

/** Remember what undo brings back: called before pokes or marks change. */
export function remember() {
  undone.push(Object.fromEntries(UNDOABLE.map((name) => [name, structuredClone(state[name])])));
  if (undone.length > 100) undone.shift();
}

export function undo() {
  const before = undone.pop();
  if (before) change(before);
}

/** No push, and nothing marked for a plan. */
export const UNMARKED = { pokes: [], goals: [], stay: [], touch: [], plans: null };

export function clearAll() {
  remember();
  change(UNMARKED);
}

onChange((names) => {
  if (names.has("picture")) undone.length = 0; // what was on another picture does not come back
});
