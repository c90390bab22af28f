/* The page around tracker.js: sources of frames, the box, the run, and the downloads. */
"use strict";

const find = (name) => document.getElementById(name);
const canvas = find("frame"), brush = canvas.getContext("2d", {willReadFrequently: true});
const picture = document.createElement("canvas"); // the frame without a box, in its own pixels
const pixels = picture.getContext("2d", {willReadFrequently: true});
const video = Object.assign(document.createElement("video"), {muted: true, playsInline: true});
const state = {live: false, name: "", box: null, boxes: [], scores: [], stopped: true, parts: []};
const networks = {}; // one for each way of execution, loaded when it is needed

function say(text) {
  find("message").textContent = text;
  find("message").hidden = !text;
}

/** Run an action; what goes wrong is said in one sentence. */
async function attempt(action) {
  say("");
  try {
    await action();
  } catch (error) {
    say(error instanceof BadInput ? error.message
      : `This did not work (${error.message || error}); reload the page and try again.`);
  }
}

const once = (target, ...names) => new Promise((resolve) => {
  for (const name of names) target.addEventListener(name, () => resolve(name), {once: true});
});

/** Copy the video's picture and return it as pixels. */
function grab() {
  pixels.drawImage(video, 0, 0);
  return pixels.getImageData(0, 0, picture.width, picture.height);
}

function draw(box = state.box) {
  brush.drawImage(picture, 0, 0);
  if (!box) return;
  brush.lineWidth = Math.max(2, canvas.width / 240);
  brush.strokeStyle = "#ff2d6f";
  brush.strokeRect(...box);
}

function setBox(box) {
  state.box = box;
  ["x", "y", "w", "h"].forEach((name, i) => { find(name).value = box ? +box[i].toFixed(1) : ""; });
  draw();
}

/** Forget the last video and its boxes. */
function reset(name) {
  state.stopped = true;
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  Object.assign(state, {name, boxes: [], scores: [], box: null, parts: []});
  video.srcObject = null;
  find("csv").disabled = find("save").disabled = true;
}

async function show(source, name, rate, box) {
  reset(name);
  state.live = typeof source !== "string";
  if (state.live) video.srcObject = source;
  else video.src = source;
  const ready = await Promise.race([once(video, "loadeddata", "error"), wait(15000)]);
  if (ready !== "loadeddata" || !video.videoWidth) {
    throw new BadInput(`This browser has no decoder for ${name}; convert it to MP4 with H.264, `
      + "for example with ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p OUT.mp4.");
  }
  for (const part of [canvas, picture]) {
    Object.assign(part, {width: video.videoWidth, height: video.videoHeight});
  }
  find("ratelabel").hidden = state.live;
  if (state.live) {
    await video.play();
    preview();
  } else {
    find("rate").value = +(rate || (await measureRate())).toFixed(3);
    await seek(0);
  }
  setBox(box ?? null);
}

const wait = (time) => new Promise((resolve) => setTimeout(resolve, time, "late"));

/** Show the camera until a box is drawn or tracking starts. */
function preview() {
  if (!state.live || !state.stopped || video.paused) return;
  grab();
  draw();
  requestAnimationFrame(preview);
}

/** Frames a second, from the times of a few frames; 30 where the browser does not tell. */
async function measureRate() {
  if (!video.requestVideoFrameCallback) return 30;
  const times = [];
  const note = (_, {mediaTime}) => {
    times.push(mediaTime);
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
  await Promise.race([video.play(), wait(500)]);
  await wait(700);
  video.pause();
  const steps = times.slice(1).map((time, i) => time - times[i]).filter((step) => step > 0.004);
  return steps.length ? 1 / Math.min(...steps) : 30;
}

/** Go to a frame of the file; false after the last one. */
async function seek(index) {
  const time = (index + 0.5) / find("rate").value;
  if (time >= video.duration) return false;
  const done = once(video, "seeked", "error");
  video.currentTime = time;
  if ((await done) === "error") throw new BadInput("The video is damaged here; convert it again.");
  grab();
  return true;
}

async function track() {
  const box = ["x", "y", "w", "h"].map((name) => parseFloat(find(name).value));
  if (!picture.width || !state.name) throw new BadInput("Choose a clip, a video or the camera first.");
  if (!(find("rate").value > 0) && !state.live) throw new BadInput("Give the video's frames/s.");
  if (!state.live) await seek(0);
  let frame = pixels.getImageData(0, 0, picture.width, picture.height);
  checkBox(box, frame);
  find("status").textContent = "Loading the network …";
  const device = find("device").value;
  networks[device] ??= loadNetwork(device).catch((error) => {
    delete networks[device];
    throw error;
  });
  const network = await networks[device];
  const tracker = new Tracker(network, {...CONFIG, scales: +find("scales").value});
  await tracker.init(frame, box);
  Object.assign(state, {boxes: [box], scores: [NaN], stopped: false});
  find("track").disabled = true;
  find("stop").disabled = false;
  const recorder = state.live ? record() : null;
  if (state.live) await video.play();
  let spent = 0;
  const start = performance.now();
  try {
    while (!state.stopped) {
      if (!state.live && !(await seek(state.boxes.length))) break;
      frame = state.live ? grab() : pixels.getImageData(0, 0, picture.width, picture.height);
      const before = performance.now();
      const found = await tracker.update(frame);
      spent += performance.now() - before;
      state.boxes.push(found);
      state.scores.push(tracker.score);
      draw(found);
      report(tracker, spent, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve)); // let the page paint
    }
  } finally {
    state.stopped = true;
    recorder?.stop();
    if (state.live) video.pause();
    find("track").disabled = false;
    find("stop").disabled = true;
    find("csv").disabled = find("save").disabled = state.boxes.length < 2;
  }
}

function report(tracker, spent, all) {
  const count = state.boxes.length - 1, rate = (time) => ((1000 * count) / time).toFixed(1);
  find("status").textContent = `Frame ${count}: score ${tracker.score.toFixed(3)}, `
    + `${rate(spent)} frames/s, ${rate(all)} with decoding and drawing`;
  paint(find("search"), tracker.config.search_size, tracker.search, (planes, i, length) =>
    [planes[i], planes[length + i], planes[2 * length + i]]);
  const map = tracker.response, low = Math.min(...map), range = Math.max(...map) - low || 1;
  paint(find("response"), Math.round(Math.sqrt(map.length)), map, (values, i) => {
    const value = (values[i] - low) / range;
    return [255 * Math.min(1, 1.6 * value), 255 * value ** 1.5, 255 * (0.35 + 0.3 * value)];
  });
  const chart = find("score"), pen = chart.getContext("2d"), values = state.scores.slice(1);
  const top = Math.max(...values, 0), bottom = Math.min(...values, 0);
  pen.clearRect(0, 0, chart.width, chart.height);
  pen.strokeStyle = getComputedStyle(chart).color;
  pen.lineWidth = 2;
  pen.beginPath();
  values.forEach((value, i) => pen.lineTo((chart.width * i) / Math.max(values.length - 1, 1),
    chart.height - 4 - (chart.height - 8) * (value - bottom) / (top - bottom || 1)));
  pen.stroke();
}

function paint(target, side, values, colour) {
  const image = new ImageData(side, side), length = side * side;
  for (let i = 0; i < length; i++) image.data.set([...colour(values, i, length), 255], 4 * i);
  Object.assign(target, {width: side, height: side}).getContext("2d").putImageData(image, 0, 0);
}

/** Record the canvas with the boxes; the parts are kept for the download. */
function record() {
  if (!window.MediaRecorder || !canvas.captureStream) {
    throw new BadInput("This browser cannot record a video; download the boxes instead.");
  }
  state.parts = [];
  const recorder = new MediaRecorder(canvas.captureStream(30));
  recorder.ondataavailable = ({data}) => data.size && state.parts.push(data);
  recorder.start(500);
  return recorder;
}

/** Play a file again with its boxes, record that, and offer the recording. */
async function save() {
  if (!state.live) {
    const recorder = record(), done = once(recorder, "stop");
    find("save").disabled = true;
    find("status").textContent = "Recording the clip once at its own speed …";
    video.currentTime = 0;
    await video.play();
    const last = state.boxes.length - 1, rate = find("rate").value;
    await new Promise((resolve) => {
      const next = () => {
        const index = Math.floor(video.currentTime * rate);
        grab();
        draw(state.boxes[Math.min(index, last)]);
        if (video.ended || index > last) resolve();
        else requestAnimationFrame(next);
      };
      next();
    });
    video.pause();
    recorder.stop();
    await done;
    find("save").disabled = false;
    find("status").textContent = "";
  }
  const type = state.parts[0]?.type || "video/webm";
  const ending = type.includes("mp4") ? "mp4" : "webm";
  download(new Blob(state.parts, {type}), `${state.name}-tracked.${ending}`);
}

function csv() {
  const line = (box, i) => [i, ...box.map((value) => value.toFixed(4)),
    Number.isNaN(state.scores[i]) ? "" : state.scores[i].toFixed(6)].join(",");
  return ["frame,x,y,width,height,score", ...state.boxes.map(line)].join("\n") + "\n";
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob)});
  Object.assign(link, {download: name}).click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function openClip(name) {
  const {video: text, box, rate} = CLIPS[name];
  const content = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([content], {type: "video/mp4"}));
  return show(url, name, rate, box);
}

function openFile(file) {
  if (!file) return undefined;
  if (!file.type.startsWith("video/")) {
    throw new BadInput(`${file.name} is not a video; choose an MP4 or WebM file.`);
  }
  return show(URL.createObjectURL(file), file.name.replace(/\.\w+$/, ""), 0, null);
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new BadInput("This browser offers the camera on https or local pages only; open the page so.");
  }
  const source = await navigator.mediaDevices.getUserMedia({video: {width: 640}}).catch((error) => {
    throw new BadInput(error.name === "NotAllowedError"
      ? "The camera was refused; allow it in the browser's address bar, then press the button again."
      : "No camera was found; connect one or choose a video.");
  });
  await show(source, "camera", 0, null);
}

/** The position of a pointer in pixels of the frame. */
function position(event) {
  const area = canvas.getBoundingClientRect();
  return [(event.clientX - area.left) * canvas.width / area.width,
    (event.clientY - area.top) * canvas.height / area.height];
}

canvas.addEventListener("pointerdown", (event) => {
  if (!state.stopped || !state.name) return;
  canvas.setPointerCapture(event.pointerId);
  if (state.live) video.pause(); // the box belongs to this frame
  const [x, y] = position(event);
  const move = (next) => {
    const [right, down] = position(next);
    setBox([Math.min(x, right), Math.min(y, down), Math.abs(right - x), Math.abs(down - y)]);
  };
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", () => canvas.removeEventListener("pointermove", move), {once: true});
});
for (const name of ["x", "y", "w", "h"]) {
  find(name).addEventListener("input", () => {
    state.box = ["x", "y", "w", "h"].map((key) => parseFloat(find(key).value) || 0);
    draw();
  });
}
find("clip").append(...Object.keys(CLIPS).map((name) => new Option(name, name)));
find("clip").addEventListener("change", () => attempt(() => openClip(find("clip").value)));
find("file").addEventListener("change", () => attempt(() => openFile(find("file").files[0])));
find("camera").addEventListener("click", () => attempt(openCamera));
find("track").addEventListener("click", () => attempt(track));
find("stop").addEventListener("click", () => { state.stopped = true; });
find("csv").addEventListener("click", () =>
  download(new Blob([csv()], {type: "text/csv"}), `${state.name}.csv`));
find("save").addEventListener("click", () => attempt(save));
hasGpu().then((there) => {
  if (there) find("device").append(new Option("WebGPU (graphics card)", "webgpu"));
});
if (!hasSimd()) attempt(() => loadNetwork());
attempt(() => openClip("dog")).then(() => { find("clip").value = "dog"; });
