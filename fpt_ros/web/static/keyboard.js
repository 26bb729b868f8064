// SPDX-License-Identifier: Apache-2.0
// The picture without a mouse: arrow keys move the query point or, after Enter, draw a push from it.

import { change, clearAll, remember, state, undo } from "./state.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SHOWS = ["colour", "arrows", "part", "nothing"];

/** @param {HTMLCanvasElement} canvas @param {Object<string, () => void>} actions by key */
export function listenToKeys(canvas, actions) {
  let poke = -1; // the one whose tip the arrow keys move

  canvas.addEventListener("keydown", (event) => {
    if (!state.picture) return;
    if (event.key in STEPS) {
      const [u, v] = STEPS[event.key].map((way) => way * (event.shiftKey ? 20 : 4));
      if (poke >= 0 && poke < state.pokes.length) moveTip(poke, u, v);
      else moveQuery(u, v);
    } else if (event.key === "Enter") {
      poke = poke < 0 ? newPoke() : -1;
    } else if (event.key === "Escape") {
      poke = -1;
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("keyup", () => state.touched && change({ touched: false }));
  canvas.addEventListener("blur", () => (poke = -1));

  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input[type=range], select, textarea") || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "u" || (key === "z" && (event.ctrlKey || event.metaKey))) undo();
    else if (event.ctrlKey || event.metaKey) return;
    else if (event.key === "Delete" || event.key === "Backspace") clearAll();
    else if (SHOWS[key - 1]) change({ show: SHOWS[key - 1] });
    else if (actions[key]) actions[key]();
    else return;
    event.preventDefault();
  });
}

function moveQuery(u, v) {
  const { width, height } = state.picture;
  const [x, y] = state.query ?? [width / 2, height / 2];
  const limit = (value, most) => Math.min(Math.max(value, 0), most - 1);
  change({ query: [limit(x + u, width), limit(y + v, height)], hover: null });
}

/** A short push to the right from the query point; which one it is. */
function newPoke() {
  remember();
  const at = state.query ?? [state.picture.width / 2, state.picture.height / 2];
  const pokes = [...state.pokes, [...at, state.picture.width / 20, 0]];
  change({ pokes, query: at, poked: true });
  return pokes.length - 1;
}

function moveTip(index, u, v) {
  const pokes = state.pokes.slice();
  const [x, y, dx, dy] = pokes[index];
  pokes[index] = [x, y, dx + u, dy + v];
  change({ pokes, touched: true });
}
