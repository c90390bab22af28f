// @ts-check
/* The tracker of scs_siam/track.py (Algorithm 2, Section 4.1) in JavaScript, function by function.
 *
 * Boxes are x, y, w, h in pixels, counted from 0, as in scs_siam/data/boxes.py. The network itself
 * runs in onnxruntime-web (network.js). This is a classic script, because browsers refuse modules
 * on pages that are opened from a disk.
 */
"use strict";

/** @typedef {[number, number, number, number]} Box x, y, w, h */
/** @typedef {[number, number]} Pair */
/** @typedef {{width: number, height: number, data: Uint8ClampedArray}} Frame RGBA, as ImageData */
/** @typedef {{template_size: number, search_size: number, scale_at: number, scale_step: number,
 *   scales: number, scale_penalty: number, scale_damping: number, window_influence: number,
 *   upsampling: number, centre_cell: number, size_limits: Pair, stride: number}} Config
 *   TrackingConfig of scs_siam/config.py, and the STRIDE of scs_siam/model.py */
/** @typedef {{template(image: Float32Array, size: number): Promise<any>,
 *   response(template: any, crops: Float32Array, scales: number, size: number):
 *   Promise<Float32Array>}} Network the two halves that scs_siam/tools/export.py writes */

class BadInput extends Error {}

// scs_siam/data/boxes.py

/** @param {Box} box @returns {Pair} */
function center([x, y, w, h]) {
  return [x + (w - 1) / 2, y + (h - 1) / 2];
}

/** @param {Pair} centre @param {Pair} size @returns {Box} */
function fromCenter([x, y], [w, h]) {
  return [x - (w - 1) / 2, y - (h - 1) / 2, w, h];
}

/** @param {Box} box @param {Frame} frame @returns {Box} the box, if it has an area in the frame */
function checkBox(box, frame) {
  const [x, y, w, h] = box, text = `(${box.map((value) => +value.toFixed(1)).join(", ")})`;
  if (!box.every(Number.isFinite)) throw new BadInput("A box is four numbers; draw it anew.");
  if (w <= 0 || h <= 0) throw new BadInput(`The box ${text} has no area; draw a larger one.`);
  if (x >= frame.width || y >= frame.height || x + w <= 0 || y + h <= 0) {
    const size = `${frame.width} × ${frame.height}`;
    throw new BadInput(`The box ${text} lies outside the ${size} frame; draw it inside.`);
  }
  return box;
}

// scs_siam/data/crops.py

/** @param {Pair} size @returns {number} side of the square that a template shows (D23) */
function contextSide([w, h]) {
  const p = (w + h) / 2;
  return Math.sqrt((w + p) * (h + p));
}

/** One bilinear warp, as cv2.warpAffine makes it: a square of `side` frame pixels around `centre`
 * becomes `size` pixels, written to `out` as three planes of whole numbers.
 * @param {Frame} frame @param {Pair} centre @param {number} side @param {number} size
 * @param {number[]} padding colour beyond the frame (D17) @param {Float32Array} out */
function crop(frame, centre, side, size, padding, out) {
  const {width, height, data} = frame, scale = side / size, plane = size * size;
  const beyond = padding.map((value) => Math.round(value));
  /** @param {number} x @param {number} y @param {number} c */
  const at = (x, y, c) => x < 0 || y < 0 || x >= width || y >= height
    ? beyond[c] : data[4 * (y * width + x) + c];
  for (let row = 0; row < size; row++) {
    const y = centre[1] + scale * (row - (size - 1) / 2), y0 = Math.floor(y), fy = y - y0;
    for (let column = 0; column < size; column++) {
      const x = centre[0] + scale * (column - (size - 1) / 2), x0 = Math.floor(x), fx = x - x0;
      const cell = row * size + column;
      const inside = x0 >= 0 && y0 >= 0 && x0 + 1 < width && y0 + 1 < height;
      const first = 4 * (y0 * width + x0), below = first + 4 * width;
      for (let c = 0; c < 3; c++) {
        const value = inside
          ? (data[first + c] * (1 - fx) + data[first + 4 + c] * fx) * (1 - fy)
            + (data[below + c] * (1 - fx) + data[below + 4 + c] * fx) * fy
          : (at(x0, y0, c) * (1 - fx) + at(x0 + 1, y0, c) * fx) * (1 - fy)
            + (at(x0, y0 + 1, c) * (1 - fx) + at(x0 + 1, y0 + 1, c) * fx) * fy;
        out[c * plane + cell] = Math.round(value);
      }
    }
  }
}

/** @param {Frame} frame @returns {number[]} mean of each colour */
function meanColour({data}) {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sums[c] += data[i + c];
  return sums.map((sum) => sum / (data.length / 4));
}

// scs_siam/track.py

class Tracker {
  /** @param {Network} network @param {Config} config */
  constructor(network, config) {
    this.network = network;
    this.config = config;
    const scales = Array.from({length: config.scales}, (_, i) => i), middle = config.scales >> 1;
    this.scales = scales.map((i) => config.scale_step ** (i - (config.scales - 1) / 2));
    this.penalty = scales.map((i) => (i === middle ? 1 : config.scale_penalty)); // D21
    this.crops = new Float32Array(config.scales * 3 * config.search_size ** 2);
    this.scale = middle;
    /** @type {Pair} */ this.centre = [0, 0];
    /** @type {Pair} */ this.size = [1, 1];
    this.limits = [this.size, this.size];
    this.response = new Float32Array(0);
    this.score = NaN; // highest value of the chosen response map
    /** @type {any} */ this.template = null;
  }

  /** Start at `box` in `frame`. @param {Frame} frame @param {Box} box */
  async init(frame, box) {
    checkBox(box, frame);
    this.centre = center(box);
    this.size = [box[2], box[3]];
    this.limits = this.config.size_limits.map((limit) => [limit * box[2], limit * box[3]]); // D26
    const size = this.config.template_size, image = new Float32Array(3 * size * size);
    crop(frame, this.centre, this._side() * size, size, meanColour(frame), image);
    this.template = await this.network.template(image, size);
  }

  /** @param {Frame} frame @returns {Promise<Box>} the target's box in the next frame */
  async update(frame) {
    this._cut(frame);
    const {scales, search_size: size} = this.config;
    return this._follow(await this.network.response(this.template, this.crops, scales, size));
  }

  /** The search region at the scale that the last update chose: three planes of pixels. */
  get search() {
    const length = 3 * this.config.search_size ** 2;
    return this.crops.subarray(this.scale * length, (this.scale + 1) * length);
  }

  /** Frame pixels per crop pixel at the middle scale (D30). */
  _side() {
    return contextSide(this.size) / this.config.scale_at;
  }

  /** Cut the search regions at the last position. @param {Frame} frame */
  _cut(frame) {
    const size = this.config.search_size, length = 3 * size * size;
    const sides = this.scales.map((scale) => this._side() * scale * size);
    const padding = this._padding(frame, Math.max(...sides));
    sides.forEach((side, i) => {
      crop(frame, this.centre, side, size, padding, this.crops.subarray(i * length));
    });
  }

  /** Move to the best position of the response maps. @param {Float32Array} response
   * @returns {Box} */
  _follow(response) {
    if (!response.every(Number.isFinite)) {
      throw new BadInput("The response is not finite; reload the page or choose WebAssembly.");
    }
    const {scale, moved, score} = this._peak(response), cells = response.length / this.scales.length;
    this.scale = scale;
    this.score = score;
    this.response = response.slice(scale * cells, (scale + 1) * cells);
    const factor = this.scales[scale], step = this._side() * factor;
    this.centre = [this.centre[0] + moved[0] * step, this.centre[1] + moved[1] * step];
    const damping = this.config.scale_damping, [low, high] = this.limits;
    const change = 1 - damping + damping * factor; // D21
    this.size = [0, 1].map((i) => Math.min(Math.max(this.size[i] * change, low[i]), high[i])); // D26
    return fromCenter(this.centre, this.size);
  }

  /** The frame's mean colour where a crop of `side` pixels leaves the frame (D17).
   * @param {Frame} frame @param {number} side */
  _padding(frame, side) {
    const [x, y] = this.centre, half = side / 2 + 1;
    const inside = x >= half && y >= half && x + half < frame.width && y + half < frame.height;
    return inside ? [0, 0, 0] : meanColour(frame);
  }

  /** Scale and displacement, in crop pixels, of the best cell (Algorithm 2, D19 to D21).
   * @param {Float32Array} response @returns {{scale: number, moved: Pair, score: number}} */
  _peak(response) {
    const {upsampling, window_influence: influence, centre_cell, stride} = this.config;
    const cells = response.length / this.scales.length, coarse = Math.round(Math.sqrt(cells));
    const side = coarse * upsampling;
    const fine = this.scales.map((_, i) =>
      enlarge(response.subarray(i * cells, (i + 1) * cells), coarse, upsampling));
    const peaks = fine.map((map, i) => map.reduce((a, b) => Math.max(a, b)) * this.penalty[i]);
    const scale = peaks.indexOf(Math.max(...peaks));
    const best = Float64Array.from(fine[scale], (value) => value * this.penalty[scale]);
    const least = best.reduce((a, b) => Math.min(a, b));
    const sum = best.reduce((a, b) => a + (b - least), 0) + 1e-16;
    const window = hanning(side), total = window.reduce((a, b) => a + b) ** 2;
    let highest = -Infinity, row = 0, column = 0;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const value = (1 - influence) * (best[y * side + x] - least) / sum
          + influence * window[y] * window[x] / total; // D20
        if (value > highest) [highest, row, column] = [value, y, x];
      }
    }
    const middle = centre_cell * side / 272; // D26; 272 = 17 x 16
    const factor = stride / upsampling;
    return {scale, moved: [(column - middle) * factor, (row - middle) * factor], score: peaks[scale]};
  }
}

// What track.py takes from its libraries

/** cv2.resize(map, interpolation=cv2.INTER_CUBIC) of a square map by a whole factor.
 * @param {Float32Array} map @param {number} side @param {number} factor */
function enlarge(map, side, factor) {
  const wide = side * factor, a = -0.75;
  const taps = Array.from({length: wide}, (_, i) => {
    const x = (i + 0.5) / factor - 0.5, first = Math.floor(x), t = x - first;
    /** @param {number} d */
    const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1;
    /** @param {number} d */
    const far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    const at = [-1, 0, 1, 2].map((k) => Math.min(Math.max(first + k, 0), side - 1));
    return {at, weights: [far(t + 1), near(t), near(1 - t), far(2 - t)]};
  });
  const rows = new Float32Array(side * wide), fine = new Float32Array(wide * wide);
  taps.forEach(({at, weights: w}, x) => {
    for (let y = 0; y < side; y++) {
      const line = y * side;
      rows[y * wide + x] = w[0] * map[line + at[0]] + w[1] * map[line + at[1]]
        + w[2] * map[line + at[2]] + w[3] * map[line + at[3]];
    }
  });
  taps.forEach(({at, weights: w}, y) => {
    const [a0, a1, a2, a3] = at.map((row) => row * wide);
    for (let x = 0; x < wide; x++) {
      fine[y * wide + x] = w[0] * rows[a0 + x] + w[1] * rows[a1 + x]
        + w[2] * rows[a2 + x] + w[3] * rows[a3 + x];
    }
  });
  return fine;
}

/** np.hanning @param {number} length */
function hanning(length) {
  return Array.from({length}, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (length - 1)));
}
