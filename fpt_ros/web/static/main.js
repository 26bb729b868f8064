// SPDX-License-Identifier: Apache-2.0
// Starts the page: connects the engine, opens the first picture, and lets each part listen.

import { fromAddress, keepAddress } from "./address.js";
import { askWhenNeeded, waiting } from "./asking.js";
import { bindControls } from "./controls.js";
import { connectEngine } from "./engine.js";
import { showFutures } from "./futures.js";
import { listenToKeys } from "./keyboard.js";
import { liveCamera } from "./live.js";
import { paint } from "./painter.js";
import { showPlanning } from "./planning.js";
import { playWhenAsked } from "./playing.js";
import { listenToPointer } from "./pointing.js";
import { savePicture } from "./saving.js";
import { change, clearAll, onChange, state, UNMARKED } from "./state.js";

const part = (id) => document.getElementById(id);
const view = part("view");
const engine = await connectEngine().catch((error) => {
  part("message").textContent = error.message;
  part("busy").hidden = true;
  throw error;
});
const live = liveCamera(engine, part("live"));

paintWhenChanged();
playWhenAsked();
askWhenNeeded(engine);
bindControls(engine, { openSample, openFile });
showFutures(part("futures"), engine);
showPlanning(part("planning"), engine);
listenToPointer(view, live.freeze);
listenToKeys(view, {
  " ": () => change({ playing: !state.playing }),
  w: () => change({ poked: !state.poked }),
  m: () => change({ cameraMoving: !state.cameraMoving }),
  l: () => (state.liveFrame ? live.freeze() : live.play()),
  s: () => savePicture(view),
  c: clearAll,
});
keepAddress(openAddress);
change({ model: engine.model });
engine.onClosed = (message) => change({ message });
await openAddress();
document.body.dataset.ready = "true";

/** Open what the address names, else the first picture with its push. */
async function openAddress() {
  const named = fromAddress();
  if (named) return openSample(named.sample, named.frame, named.values);
  if (engine.can.has("watch")) return live.play();
  await openSample(engine.samples[0].name, null);
}

/** @param {object} [values] of the state; by default those that the sample begins with */
async function openSample(name, frame, values) {
  const sample = engine.samples.find((each) => each.name === name);
  const query = sample?.query.length ? sample.query : null;
  const begin = values ?? { pokes: sample?.pokes ?? [], query };
  await open(() => engine.openSample(name, frame), { sample: name, frame }, begin);
}

async function openFile(blob) {
  await open(() => engine.openFile(blob), { file: true }, { pokes: [], query: null });
}

async function open(opening, source, values) {
  const picture = await waiting(opening);
  if (!picture) return;
  live.stop();
  if (source.sample) source = { sample: source.sample, frame: picture.frame };
  const { frames = 1, model = engine.model } = picture;
  const fresh = { ...UNMARKED, mixtures: null, field: null, message: "", hover: null, playing: false };
  change({ ...fresh, frames, model, source, ...values, picture });
}

/** Once a frame of the screen at most. */
function paintWhenChanged() {
  let asked = false;
  const repaint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      paint(view);
    });
  };
  onChange(repaint);
  new ResizeObserver(repaint).observe(view);
}
