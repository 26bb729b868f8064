// SPDX-License-Identifier: Apache-2.0
// The live camera of a running node: it plays until one pokes, then its picture stands still.

import { waiting } from "./asking.js";
import { change, onChange, state, UNMARKED } from "./state.js";

/** @param {import("./engine.js").Engine} engine @param {HTMLButtonElement} button
 *  @returns {{play: () => void, freeze: () => Promise<void>, stop: () => void}} */
export function liveCamera(engine, button) {
  let stamp = "";
  let watching = false;

  function play() {
    if (!engine.can.has("watch")) return;
    change({ ...UNMARKED, source: { live: true }, query: null, hover: null, playing: false });
    watching = true;
    let told = "";
    engine.watch(({ bitmap, model, message, ...frame }) => {
      change({ model });
      if (message !== told) change({ message });
      told = message;
      if (!bitmap) return;
      stamp = frame.stamp;
      change({ liveFrame: bitmap });
    });
  }

  function stop() {
    if (watching) engine.watch(null);
    watching = false;
    change({ liveFrame: null });
  }

  async function freeze() {
    if (!state.liveFrame) return;
    const picture = await waiting(() => engine.openLive(stamp));
    if (!picture) return;
    stop();
    change({ picture, model: picture.model, frames: 1, mixtures: null, field: null });
  }

  button.hidden = !engine.can.has("watch");
  button.addEventListener("click", () => (state.liveFrame ? freeze() : play()));
  onChange((names) => {
    if (names.has("liveFrame")) button.textContent = state.liveFrame ? "Freeze (L)" : "Live camera (L)";
  });
  return { play, freeze, stop };
}
