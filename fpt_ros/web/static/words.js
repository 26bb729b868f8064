// SPDX-License-Identifier: Apache-2.0
// Where the query point may go, in words.

import { mean, modes } from "./mixture.js";

/** The modes worth a line: at most four, each of at least 3 %. */
export function likelyModes(mixture) {
  return modes(mixture).filter(({ probability }) => probability >= 0.03).slice(0, 4);
}

/** Sentences for the list beside the inset. */
export function inWords({ mixture }) {
  const lines = likelyModes(mixture).map(
    ({ at, probability }) => `${Math.round(100 * probability)} %: ${displacementInWords(at)}`,
  );
  return { lines, mean: displacementInWords(mean(mixture)) };
}

const WAYS = ["right", "down right", "down", "down left", "left", "up left", "up", "up right"];

function displacementInWords([dx, dy]) {
  const length = Math.hypot(dx, dy);
  if (length < 1) return "stays";
  const way = WAYS[Math.round(Math.atan2(dy, dx) / (Math.PI / 4) + 8) % 8];
  return `${length < 10 ? length.toFixed(1) : Math.round(length)} px ${way}`;
}
