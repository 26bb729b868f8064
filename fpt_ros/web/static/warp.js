// SPDX-License-Identifier: Apache-2.0
// The picture moved as predicted: a mesh of triangles over it, whose corners are displaced.

const VERTEX = `
attribute vec2 place, shift;
uniform vec2 size;
uniform float phase;
varying vec2 from;
void main() {
  vec2 at = (place + phase * shift) / size * 2.0 - 1.0;
  gl_Position = vec4(at.x, -at.y, 0.0, 1.0);
  from = place / size;
}`;
const FRAGMENT = `
precision mediump float;
uniform sampler2D picture;
varying vec2 from;
void main() { gl_FragColor = texture2D(picture, from); }`;

/** Draws a picture that moves. Where there is no WebGL, `draw` gives null. */
export class Warp {
  #canvas = new OffscreenCanvas(1, 1);
  #gl = this.#canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
  #program = this.#gl && link(this.#gl);
  #texture = this.#gl?.createTexture();
  #bitmap = null;
  #mesh = null;

  /** @param {ImageBitmap} bitmap @param {{columns: number, rows: number}} grid @param {Float32Array}
   *  shifts [n, 2] of the grid's points, pixels @param {number} phase 0: at rest, 1: moved */
  draw(bitmap, grid, shifts, phase) {
    const gl = this.#gl;
    if (!gl || gl.isContextLost()) return null;
    if (bitmap !== this.#bitmap) this.#load(bitmap);
    if (shifts !== this.#mesh?.shifts) this.#makeMesh(grid, shifts);
    gl.useProgram(this.#program);
    gl.uniform2f(gl.getUniformLocation(this.#program, "size"), bitmap.width, bitmap.height);
    gl.uniform1f(gl.getUniformLocation(this.#program, "phase"), phase);
    // Below lies the picture at rest: what the mesh uncovers at the rim is not black.
    this.#layer("place", this.#mesh.places);
    this.#layer("shift", this.#mesh.still);
    gl.drawElements(gl.TRIANGLES, this.#mesh.count, gl.UNSIGNED_SHORT, 0);
    this.#layer("shift", this.#mesh.moved);
    gl.drawElements(gl.TRIANGLES, this.#mesh.count, gl.UNSIGNED_SHORT, 0);
    return this.#canvas;
  }

  #load(bitmap) {
    const gl = this.#gl;
    [this.#canvas.width, this.#canvas.height] = [bitmap.width, bitmap.height];
    gl.viewport(0, 0, bitmap.width, bitmap.height);
    gl.bindTexture(gl.TEXTURE_2D, this.#texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, bitmap);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE); // sides of any length
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    this.#bitmap = bitmap;
    this.#mesh = null;
  }

  /** Corners at the grid's points and on the picture's rim, which moves as the points next to it. */
  #makeMesh(grid, shifts) {
    const gl = this.#gl;
    const { places, moved, triangles } = mesh(grid, shifts, this.#bitmap);
    for (const name of ["places", "moved", "still", "triangles"]) {
      if (this.#mesh) gl.deleteBuffer(this.#mesh[name]);
    }
    this.#mesh = {
      shifts,
      places: filled(gl, gl.ARRAY_BUFFER, new Float32Array(places)),
      moved: filled(gl, gl.ARRAY_BUFFER, new Float32Array(moved)),
      still: filled(gl, gl.ARRAY_BUFFER, new Float32Array(moved.length)),
      triangles: filled(gl, gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(triangles)),
      count: triangles.length,
    };
  }

  #layer(name, buffer) {
    const gl = this.#gl;
    const place = gl.getAttribLocation(this.#program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
  }
}

function mesh({ columns, rows }, shifts, { width, height }) {
  const places = [];
  const moved = [];
  const triangles = [];
  const limit = (value, most) => Math.min(Math.max(value, 0), most);
  for (let row = 0; row < rows + 2; row++) {
    for (let column = 0; column < columns + 2; column++) {
      places.push((limit(column - 0.5, columns) * width) / columns);
      places.push((limit(row - 0.5, rows) * height) / rows);
      const point = limit(row - 1, rows - 1) * columns + limit(column - 1, columns - 1);
      moved.push(shifts[2 * point], shifts[2 * point + 1]);
      if (row <= rows && column <= columns) {
        const corner = row * (columns + 2) + column;
        const below = corner + columns + 2;
        triangles.push(corner, corner + 1, below, corner + 1, below + 1, below);
      }
    }
  }
  return { places, moved, triangles };
}

function filled(gl, target, values) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(target, buffer);
  gl.bufferData(target, values, gl.STATIC_DRAW);
  return buffer;
}

function link(gl) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return program;
}
