// SPDX-License-Identifier: Apache-2.0
// Moves the picture: there, a rest, and back, while `playing`.

import { change, onChange, state } from "./state.js";

const THERE = 900; // ms
const REST = 700;

/** Listen to the state's `playing`. */
export function playWhenAsked() {
  let begin = 0;
  onChange((names) => {
    if (!names.has("playing")) return;
    if (state.playing && !begin) requestAnimationFrame(step);
    if (!state.playing) change({ phase: 0 });
  });

  function step(now) {
    begin ||= now;
    if (!state.playing) {
      begin = 0;
      return;
    }
    change({ phase: phaseAt((now - begin) % (2 * (THERE + REST))) });
    requestAnimationFrame(step);
  }
}

function phaseAt(time) {
  const way = Math.min(time / THERE, 1) - Math.max(0, Math.min((time - THERE - REST) / THERE, 1));
  return Math.max(0.001, way * way * (3 - 2 * way)); // 0 would show the marks at rest
}
