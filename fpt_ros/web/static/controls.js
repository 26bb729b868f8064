// SPDX-License-Identifier: Apache-2.0
// The page's buttons and lists, and what it says in words.

import { densityOf, drawInset } from "./density.js";
import { savePicture } from "./saving.js";
import { change, clearAll, onChange, queryPoint, state, undo } from "./state.js";
import { inWords } from "./words.js";

const part = (id) => document.getElementById(id);

/** @param {import("./engine.js").Engine} engine */
export function bindControls(engine, { openSample, openFile }) {
  bindPictures(engine, openSample, openFile);
  for (const radio of document.querySelectorAll("input[name=show]")) {
    radio.addEventListener("change", () => change({ show: radio.value }));
  }
  for (const name of ["poked", "cameraMoving"]) {
    part(name).addEventListener("change", (event) => change({ [name]: event.target.checked }));
  }
  part("play").addEventListener("click", () => change({ playing: !state.playing }));
  part("undo").addEventListener("click", undo);
  part("clear").addEventListener("click", clearAll);
  part("save").addEventListener("click", () => savePicture(part("view")));
  for (const kind of ["sample", "plan"]) {
    if (!engine.can.has(kind)) part(kind === "plan" ? "planning" : "futures").hidden = true;
  }
  onChange(reflect);
}

function bindPictures(engine, openSample, openFile) {
  const samples = part("samples");
  samples.append(...engine.samples.map(({ name, title }) => new Option(title, name)));
  samples.append(Object.assign(new Option("", ""), { hidden: true })); // for what is not listed
  samples.addEventListener("change", () => openSample(samples.value, null));
  part("frame").addEventListener("input", (event) =>
    openSample(state.source.sample, Number(event.target.value), {}),
  );
  part("file").addEventListener("change", (event) => {
    if (event.target.files[0]) openFile(event.target.files[0]);
    event.target.value = "";
  });
  part("choose").addEventListener("click", () => part("file").click());
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
  });
}

function reflect(names) {
  if (names.has("show")) document.querySelector(`input[name=show][value=${state.show}]`).checked = true;
  for (const name of ["poked", "cameraMoving"]) if (names.has(name)) part(name).checked = state[name];
  if (names.has("playing")) part("play").textContent = state.playing ? "Stop" : "Move the picture";
  if (names.has("message")) part("message").textContent = state.message;
  if (names.has("asking") || names.has("liveFrame") || names.has("source")) reflectBusy();
  if (names.has("model")) reflectModel(state.model);
  if (names.has("source") || names.has("frames")) reflectSource();
  if (names.has("mixtures")) reflectQuery();
  if (names.has("latency")) {
    const times = Object.entries(state.latency).map(([kind, ms]) => `${kind} ${Math.round(ms)} ms`);
    part("latency").textContent = `Answered in: ${times.join(", ")}`;
  }
}

function reflectBusy() {
  const camera = state.source?.live && !state.liveFrame && !state.picture;
  part("busy").hidden = !state.asking && !camera;
  const said = state.picture ? "Computing…" : "Loading…";
  part("busy").textContent = camera ? "Waiting for the camera…" : said;
}

function reflectModel({ name, license, where }) {
  part("model").textContent = `Model: ${name}, on ${where}`;
  part("license").textContent = `Licence of its weights: ${license || "not stated"}`;
}

function reflectSource() {
  part("samples").lastChild.text = state.source?.live ? "Live camera" : "Your picture";
  part("samples").value = state.source?.sample ?? "";
  part("frames").hidden = state.frames < 2;
  Object.assign(part("frame"), { max: state.frames - 1, value: state.source?.frame ?? 0 });
}

/** The inset and the modes; for screen readers once the pointer rests. */
function reflectQuery() {
  const point = queryPoint();
  const density = point && state.mixtures && densityOf(state.mixtures);
  drawInset(part("inset"), density, state.picture.bitmap, point ?? [0, 0]);
  const { lines, mean } = density ? inWords(density) : { lines: [], mean: "" };
  part("point").textContent = density
    ? `Point ${Math.round(point[0])}, ${Math.round(point[1])}: on average ${mean}`
    : "Point at the picture to ask where that point would go.";
  part("modes").replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
}
