// SPDX-License-Identifier: Apache-2.0
// What a press on the picture does, by the tool: drag to poke or to set a goal, drag an arrow's ends
// to change it, click to ask or to mark what stays, paint where one may touch.

import { scaleOf } from "./painter.js";
import { change, remember, state } from "./state.js";

const NEAR = 14; // CSS pixels in which an arrow's end is taken
const BRUSH = 14; // CSS pixels, radius
const DRAWN = { poke: "pokes", goal: "goals" }; // arrows, by the tool that draws them

/** What a press at a point of the picture starts: `move` for each step of a drag, `click` if it is
 *  none; with `far` it is a drag from the first step on. */
export function gestureAt(canvas, at) {
  const end = grabbed(canvas, at);
  if (end) return { move: dragging(end), click: pinQuery };
  const pixels = (length) => (length * devicePixelRatio) / scaleOf(canvas);
  if (state.tool === "stay") return { move: () => {}, click: togglingStay(pixels(NEAR)) };
  if (state.tool === "touch") return { far: true, move: painting(pixels(BRUSH)) };
  return { move: drawing(DRAWN[state.tool], at), click: pinQuery };
}

function pinQuery(at) {
  change({ query: at, hover: null });
}

/** Draw a new arrow from `start`. */
function drawing(name, start) {
  let index = -1;
  return ([x, y]) => {
    if (index < 0) {
      remember();
      index = state[name].length;
    }
    const arrows = state[name].slice();
    arrows[index] = [...start, x - start[0], y - start[1]];
    const query = state.query ?? start;
    const asked = name === "pokes" ? { touched: true, poked: true } : {};
    change({ [name]: arrows, hover: null, query, plans: null, ...asked });
  };
}

/** Drag one end of an arrow: its root takes it along, its tip changes it. */
function dragging({ name, index, tip }) {
  let begun = false;
  return ([x, y]) => {
    if (!begun) remember();
    begun = true;
    const arrows = state[name].slice();
    const [x0, y0, dx, dy] = arrows[index];
    arrows[index] = tip ? [x0, y0, x - x0, y - y0] : [x, y, dx, dy];
    change({ [name]: arrows, touched: name === "pokes", hover: null });
  };
}

function painting(radius) {
  remember();
  return ([x, y]) => change({ touch: [...state.touch, [x, y, radius]], plans: null });
}

/** A click marks a point that stays, or takes away the mark within `radius`. */
function togglingStay(radius) {
  return (at) => {
    remember();
    const near = (point) => Math.hypot(point[0] - at[0], point[1] - at[1]) < radius;
    const kept = state.stay.filter((point) => !near(point));
    change({ stay: kept.length < state.stay.length ? kept : [...kept, at], plans: null });
  };
}

/** The end of an arrow of the tool's kind at a point, if there is one: tips first, newest first. */
export function grabbed(canvas, at) {
  const radius = (NEAR * devicePixelRatio) / scaleOf(canvas);
  const near = (x, y) => Math.hypot(x - at[0], y - at[1]) < radius;
  const name = DRAWN[state.tool];
  for (let index = state[name]?.length - 1; index >= 0; index--) {
    const [x, y, dx, dy] = state[name][index];
    if (near(x + dx, y + dy)) return { name, index, tip: true };
    if (near(x, y)) return { name, index, tip: false };
  }
  return null;
}
