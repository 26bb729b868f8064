// SPDX-License-Identifier: Apache-2.0
// Mouse, pen and finger on the picture: drag to poke, drag an arrow's ends to change it, click or
// hover to query.

import { scaleOf, shown } from "./painter.js";
import { change, remember, state } from "./state.js";

const NEAR = 14; // CSS pixels in which an arrow's end is taken
const A_DRAG = 4; // CSS pixels beyond which a press is a drag
const BRUSH = 14; // CSS pixels, radius
const DRAWN = { poke: "pokes", goal: "goals" }; // arrows, by the tool that draws them

/** @param {HTMLCanvasElement} canvas @param {() => Promise<void>} freeze stops the live camera */
export function listenToPointer(canvas, freeze) {
  let gesture = null;

  canvas.addEventListener("pointerdown", async (event) => {
    if (event.button !== 0 || !shown()) return;
    canvas.setPointerCapture(event.pointerId);
    gesture = begin(canvas, event);
    const begun = gesture;
    if (state.liveFrame) {
      await freeze();
      if (gesture === begun && begun.last) begun.move(begun.last);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = pointOf(canvas, event);
    if (gesture) {
      gesture.far ||= Math.hypot(event.clientX - gesture.x, event.clientY - gesture.y) > A_DRAG;
      gesture.last = at;
      if (gesture.far && !state.liveFrame) gesture.move(at);
    } else if (event.pointerType === "mouse" && state.picture) {
      canvas.style.cursor = grabbed(canvas, at) ? "grab" : "crosshair";
      change({ hover: at });
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (gesture && !gesture.far && !state.liveFrame) gesture.click(pointOf(canvas, event));
    gesture = null;
    change({ touched: false });
  });
  canvas.addEventListener("pointercancel", () => {
    gesture = null;
    change({ touched: false });
  });
  canvas.addEventListener("pointerleave", () => change({ hover: null }));
}

/** What the press starts: `move` for a drag, `click` for none. */
function begin(canvas, event) {
  const at = pointOf(canvas, event);
  const end = grabbed(canvas, at);
  const gesture = { x: event.clientX, y: event.clientY, far: false, last: null, click: pinQuery };
  if (end) return { ...gesture, move: dragging(end) };
  const pixels = (length) => (length * devicePixelRatio) / scaleOf(canvas);
  if (state.tool === "stay") return { ...gesture, move: () => {}, click: togglingStay(pixels(NEAR)) };
  if (state.tool === "touch") return { ...gesture, far: true, move: painting(pixels(BRUSH)) };
  return { ...gesture, move: drawing(DRAWN[state.tool], at) };
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
function grabbed(canvas, at) {
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

/** The picture's point under the pointer, on the picture. */
function pointOf(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const { width, height } = shown();
  const limit = (value, most) => Math.min(Math.max(value, 0), most - 1);
  return [
    limit(((event.clientX - box.left) / box.width) * width - 0.5, width),
    limit(((event.clientY - box.top) / box.height) * height - 0.5, height),
  ];
}
