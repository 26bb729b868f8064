// SPDX-License-Identifier: Apache-2.0
// The view as a picture file.

/** @param {HTMLCanvasElement} canvas */
export async function savePicture(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "poke.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
