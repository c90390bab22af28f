/* The network of the tracker in onnxruntime-web. Programs and weights are scripts that hold base64
 * text (docs/try_page.py writes them), because a page that was opened from a disk cannot fetch. */
"use strict";

const HERE = new URL(".", document.currentScript.src).href;
const FILES = {}; // filled by the scripts: name -> base64 text, compressed by gzip

/** Load a script that stands beside this one. */
function load(name) {
  return new Promise((resolve, reject) => {
    const missing = () => reject(new BadInput(`${name} cannot be loaded; copy the whole site.`));
    const script = Object.assign(document.createElement("script"), {src: HERE + name});
    document.head.append(Object.assign(script, {onload: resolve, onerror: missing}));
  });
}

/** The bytes of a file in FILES. */
async function bytes(name) {
  const packed = Uint8Array.from(atob(FILES[name]), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Whether this browser has WebAssembly with vector instructions: the smallest such program. */
function hasSimd() {
  const program = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0];
  program.push(65, 0, 253, 15, 253, 98, 11);
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(program));
}

/** Whether this browser offers WebGPU. */
async function hasGpu() {
  return Boolean(navigator.gpu && (await navigator.gpu.requestAdapter().catch(() => null)));
}

/** The two halves of the network, on `device` "wasm" or "webgpu", as tracker.js calls them. */
async function loadNetwork(device = "wasm") {
  if (!hasSimd()) {
    throw new BadInput("This browser lacks WebAssembly SIMD; use Chrome, Edge, Firefox or Safari "
      + "from 2023 or later.");
  }
  await Promise.all([load("model.js"), load(`${device}.js`)]);
  const program = new Blob([await bytes(`${device}.mjs`)], {type: "text/javascript"});
  const ort = await import(URL.createObjectURL(program));
  ort.env.wasm.wasmBinary = (await bytes(`${device}.wasm`)).buffer;
  // Threads share memory, which browsers allow on isolated pages only.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const externalData = [{path: "weights.bin", data: await bytes("weights.bin")}];
  const options = {executionProviders: [device], externalData};
  const template = await ort.InferenceSession.create(await bytes("template.onnx"), options);
  const search = await ort.InferenceSession.create(await bytes("search.onnx"), options);
  return {
    async template(image, size) {
      const input = new ort.Tensor("float32", image, [1, 3, size, size]);
      return (await template.run({template: input})).features;
    },
    async response(features, crops, scales, size) {
      const input = new ort.Tensor("float32", crops, [scales, 3, size, size]);
      return (await search.run({features, search: input})).response.data;
    },
  };
}
