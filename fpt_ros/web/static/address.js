// SPDX-License-Identifier: Apache-2.0
// The view in the page's address, behind the #, so that it can be shared and survives a reload.

import { change, onChange, state } from "./state.js";

const KEPT = ["source", "pokes", "query", "goals", "stay", "show", "poked", "cameraMoving"];
const ROWS = { pokes: 4, goals: 4, stay: 2 };
const SHOWS = ["colour", "arrows", "part", "nothing"];

/** Keep the address as the state is; call `opened` when somebody changes the address. */
export function keepAddress(opened) {
  let written = "";
  let timer = 0;
  const write = () => {
    written = `#${toHash()}`;
    history.replaceState(null, "", written);
  };
  onChange((names) => {
    if (!KEPT.some((name) => names.has(name)) || !state.picture) return;
    clearTimeout(timer);
    timer = setTimeout(write, 150); // browsers allow few changes a second
  });
  addEventListener("hashchange", () => location.hash !== written && opened());
}

function toHash() {
  const { source, pokes, query, goals, stay, show, poked, cameraMoving } = state;
  const rows = (values) => values.map((row) => row.map((v) => Number(v.toFixed(1))).join(",")).join(";");
  const hash = new URLSearchParams();
  if (source?.sample) hash.set("picture", source.sample);
  if (source?.frame) hash.set("frame", source.frame);
  if (pokes.length) hash.set("pokes", rows(pokes));
  if (query) hash.set("query", rows([query]));
  if (goals.length) hash.set("goals", rows(goals));
  if (stay.length) hash.set("stay", rows(stay));
  if (show !== "colour") hash.set("show", show);
  if (!poked) hash.set("without", "pokes");
  if (cameraMoving) hash.set("camera", "free");
  return hash.toString().replaceAll("%2C", ",").replaceAll("%3B", ";").replaceAll("%2F", "/");
}

/** What the address names; null if it names no picture. What cannot be read is left out. */
export function fromAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (!hash.has("picture")) return null;
  const found = {
    query: rowsOf(hash.get("query"), 2)[0] ?? null,
    show: SHOWS.find((show) => show === hash.get("show")) ?? "colour",
    poked: !hash.has("without"),
    cameraMoving: hash.get("camera") === "free",
  };
  for (const [name, width] of Object.entries(ROWS)) found[name] = rowsOf(hash.get(name), width);
  const frame = Number.parseInt(hash.get("frame") ?? "", 10);
  return { sample: hash.get("picture"), frame: frame >= 0 ? frame : null, values: found };
}

function rowsOf(text, width) {
  const rows = (text ?? "").split(";").map((row) => row.split(",").map(Number));
  return rows.filter((row) => row.length === width && row.every(Number.isFinite));
}
