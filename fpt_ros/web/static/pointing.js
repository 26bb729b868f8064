// SPDX-License-Identifier: Apache-2.0
// Mouse, pen and finger on the picture: a press begins a gesture, the pointer at rest asks.

import { gestureAt, grabbed } from "./gestures.js";
import { shown } from "./painter.js";
import { change, state } from "./state.js";

const A_DRAG = 4; // CSS pixels beyond which a press is a drag

/** @param {HTMLCanvasElement} canvas @param {() => Promise<void>} freeze stops the live camera */
export function listenToPointer(canvas, freeze) {
  let gesture = null;

  canvas.addEventListener("pointerdown", async (event) => {
    if (event.button !== 0 || !shown()) return;
    canvas.setPointerCapture(event.pointerId);
    const { clientX: x, clientY: y } = event;
    const at = pointOf(canvas, event);
    gesture = { x, y, far: false, last: null, ...gestureAt(canvas, at) };
    if (gesture.far) gesture.move(at);
    const begun = gesture;
    if (state.liveFrame) {
      await freeze();
      if (gesture === begun && begun.last) begun.move(begun.last);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!shown()) return;
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
