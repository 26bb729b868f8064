// SPDX-License-Identifier: Apache-2.0
// Several joint futures side by side, each moving; choosing one moves the large picture that way.

import { askFutures } from "./asking.js";
import { movedAlong } from "./painter.js";
import { change, onChange, state } from "./state.js";

/** @param {HTMLElement} section with a button and a list @param {import("./engine.js").Engine} engine */
export function showFutures(section, engine) {
  const button = section.querySelector("button");
  const list = section.querySelector("ul");
  let seed = 1;

  button.addEventListener("click", async () => {
    button.disabled = true;
    await askFutures(engine, seed++);
    button.disabled = false;
    if (state.futures && !state.playing) change({ playing: true });
  });
  onChange((names) => {
    if (names.has("futures")) fill(list);
    if (names.has("future") || names.has("futures")) press(list);
    if (names.has("phase") && state.futures) draw(list);
  });
}

function fill(list) {
  list.replaceChildren();
  if (!state.futures) return;
  const width = 320;
  const height = Math.round((width * state.picture.height) / state.picture.width);
  state.futures.shifts.forEach((_, i) => {
    const button = document.createElement("button");
    button.setAttribute("aria-label", `Future ${i + 1}: move the large picture this way`);
    button.append(Object.assign(document.createElement("canvas"), { width, height }));
    button.addEventListener("click", () =>
      change({ future: state.future === i ? -1 : i, playing: true }),
    );
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  });
  draw(list);
}

function press(list) {
  list.querySelectorAll("button").forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === state.future));
  });
}

function draw(list) {
  list.querySelectorAll("canvas").forEach((canvas, i) => {
    const moved = movedAlong(state.futures.grid, state.futures.shifts[i], state.phase);
    canvas.getContext("2d").drawImage(moved, 0, 0, canvas.width, canvas.height);
  });
}
