"use strict";

// The search page: one question at a time to the API of the same origin. Nothing is built, nothing is loaded
// from elsewhere, and text from the service is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";
const SHOWN = 200; // rows of the table; the rest is counted
const CELL = 10; // pixels from one bit to the next
const ROW_BITS = window.innerWidth < 700 ? 32 : 64;
const at = (id) => document.getElementById(id);

let info = null;
let picture = null;

// ---- talking to the service

async function call(path, options = {}) {
  const headers = { ...options.headers };
  const key = at("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("the service cannot be reached");
  }
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text, wholeNumbers);
  } catch {
    throw new Error(`the service answered ${response.status} ${response.statusText}`);
  }
  if (response.status === 401 || response.status === 403) at("key-row").hidden = false;
  if (!response.ok) throw new Error(value.message || `error ${response.status}`);
  return value;
}

// Ids have 64 bits, numbers of JavaScript 53: larger ones are kept as they were written.
function wholeNumbers(name, value, context) {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  return context && context.source ? context.source : value;
}

async function connect() {
  try {
    info = await call("info");
  } catch (error) {
    at("served").textContent = at("key-row").hidden ? error.message : "a key is needed";
    return false;
  }
  at("served").textContent =
    `${info.name}: ${count(info.n_codes)} codes of ${info.n_bits} bits` + (info.encodes ? "" : ", no model for images");
  at("k").max = Math.min(info.limits.max_k, info.n_codes);
  at("k").value = Math.min(at("k").value, at("k").max || 1);
  at("radius").max = info.limits.max_radius;
  at("code-help").textContent = `${info.n_bits / 4} hex digits; spaces do not matter`;
  at("drop").classList.toggle("off", !info.encodes);
  at("file").disabled = !info.encodes;
  if (!info.encodes) at("drop-text").textContent = "No model is served, so images cannot be searched";
  return true;
}

function question() {
  const kind = new FormData(at("question")).get("kind");
  const value = Number(at(kind).value);
  const name = kind === "k" ? "the number of neighbours" : "the radius";
  if (!at(kind).value || !Number.isInteger(value)) throw new Error(`${name} must be a whole number`);
  const wishes = { [kind]: value, with_keys: true, with_codes: info.knows_codes, explain: true };
  const path = kind === "k" ? "search" : "search_radius";
  if (picture) {
    const form = new FormData();
    form.append("image", picture, "image");
    for (const [name, wish] of Object.entries(wishes)) form.append(name, String(wish));
    return [path, { method: "POST", body: form }];
  }
  const code = at("code").value.replace(/\s+/g, "").replace(/^0x/i, "");
  if (!code) throw new Error("drop an image or paste a code first");
  if (!/^[0-9a-f]*$/i.test(code)) throw new Error("a code in hex has the digits 0-9 and a-f only");
  if (code.length !== info.n_bits / 4) {
    throw new Error(`a code of ${info.n_bits} bits has ${info.n_bits / 4} hex digits, not ${code.length}`);
  }
  const body = JSON.stringify({ codes: [code], encoding: "hex", ...wishes });
  return [path, { method: "POST", body, headers: { "Content-Type": "application/json" } }];
}

async function search(event) {
  if (event) event.preventDefault();
  complain("");
  at("search").disabled = true;
  try {
    if (!info && !(await connect())) throw new Error("give a key first");
    const [path, options] = question();
    show(await call(path, options));
  } catch (error) {
    at("result").hidden = true;
    complain(error.message);
  } finally {
    at("search").disabled = false;
  }
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

// ---- the query image

function take(file) {
  if (!info || !info.encodes || !file) return;
  if (file.size > info.limits.max_body_bytes) {
    complain(`the image has ${count(file.size)} bytes, the service takes ${count(info.limits.max_body_bytes)}`);
    return;
  }
  picture = file;
  at("code").value = "";
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.onload = () => preview.classList.toggle("tiny", preview.naturalWidth < 96);
  preview.src = URL.createObjectURL(file);
  preview.alt = file.name;
  preview.hidden = false;
  at("drop-text").textContent = "Drop another";
  search();
}

function forgetPicture() {
  picture = null;
  at("preview").hidden = true;
  at("file").value = "";
  if (info && info.encodes) at("drop-text").textContent = "Drop an image or click to pick one";
}

// ---- the answer

function show(answer) {
  const found = answer.answers[0];
  const n = found.ids.length;
  const codes = n === 1 ? "code" : "codes";
  const what =
    answer.k === undefined ? `${count(n)} ${codes} within distance ${answer.radius}` : `The ${count(n)} nearest ${codes}`;
  at("summary").textContent = `${what}, answered in ${answer.time_ms.toFixed(1)} ms`;
  at("notice").hidden = answer.complete;
  at("notice").textContent = `Not complete: shards ${answer.missing.join(", ")} did not answer.`;
  at("query-hex").textContent = found.query;
  at("query-bits").replaceChildren(bits(bytes(found.query), null, answer.n_bits));
  legend(found.codes !== null);
  const rows = found.ids.slice(0, SHOWN).map((id, i) => row(found, i, answer.n_bits));
  at("neighbours").tBodies[0].replaceChildren(...rows);
  at("more").textContent = n > SHOWN ? `and ${count(n - SHOWN)} more` : "";
  plan(answer.plan);
  at("result").hidden = false;
}

function legend(known) {
  const parts = [["l-one", "1"], ["l-zero", "0"]];
  if (known) parts.push(["l-differs-one", "1, where the query has 0"], ["l-differs", "0, where the query has 1"]);
  at("legend").replaceChildren(
    ...parts.flatMap(([name, text]) => {
      const mark = document.createElement("i");
      mark.className = name;
      return [mark, text];
    }),
    known ? "" : " The index is too large for the service to keep the codes of neighbours.",
  );
}

function row(found, i, nBits) {
  const cells = [
    cell(count(i + 1), "number"),
    cell(String(found.distances[i]), "number distance"),
    cell(found.keys && found.keys[i] !== null ? found.keys[i] : "–", "key"),
    cell(String(found.ids[i]), "number"),
    cell("", "pattern"),
  ];
  if (found.codes) {
    const code = found.codes[i];
    cells[4].append(bits(bytes(code), bytes(found.query), nBits));
    cells[4].title = code;
  } else {
    cells[4].textContent = "–";
  }
  const line = document.createElement("tr");
  line.append(...cells);
  return line;
}

function cell(text, name) {
  const one = document.createElement("td");
  one.textContent = text;
  one.className = name;
  return one;
}

function bytes(hex) {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

// A code as squares, 64 a line (32 on a narrow screen) and a gap behind each byte: one path for each kind of square, so that
// hundreds of codes stay fast. Where it differs from `other` a square is marked.
function bits(code, other, nBits) {
  const paths = { zero: "", one: "", differs: "", "differs-one": "" };
  const differing = [];
  for (let i = 0; i < nBits; i++) {
    const set = (code[i >> 3] >> (7 - (i & 7))) & 1;
    const wanted = other ? (other[i >> 3] >> (7 - (i & 7))) & 1 : set;
    const column = i % ROW_BITS;
    const x = column * CELL + (column >> 3) * 4 + 1;
    const y = Math.floor(i / ROW_BITS) * (CELL + 2) + 1;
    const square = `M${x} ${y}h8v8h-8z`;
    if (set === wanted) paths[set ? "one" : "zero"] += square;
    else {
      differing.push(i);
      if (set) paths["differs-one"] += square;
      else paths.differs += `M${x + 1} ${y + 1}h6v6h-6z`;
    }
  }
  const columns = Math.min(nBits, ROW_BITS);
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "bits");
  picture.setAttribute("width", columns * CELL + (columns >> 3) * 4);
  picture.setAttribute("height", Math.ceil(nBits / ROW_BITS) * (CELL + 2));
  picture.setAttribute("role", "img");
  picture.setAttribute("data-differing", differing.join(" "));
  const label = !other ? "code of the query" : differing.length ? `differs in bits ${differing.join(", ")}` : "equal";
  picture.setAttribute("aria-label", label);
  for (const [name, shape] of Object.entries(paths)) {
    if (!shape) continue;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", shape);
    picture.append(path);
  }
  return picture;
}

// ---- the plan

function plan(told) {
  at("plan-box").hidden = !told;
  if (!told) return;
  const segments = told.shards.flatMap((shard) => shard.segments.map((one) => ({ ...one, shard: shard.shard })));
  const sum = (name) => segments.reduce((total, one) => total + one[name], 0);
  const scans = segments.filter((one) => one.scan).length;
  const way = scans === 0 ? "by probing buckets" : scans === segments.length ? "by a scan" : "by probing and scans";
  const total = sum("n_codes");
  const share = total ? `, ${percent(sum("candidates") / total)} of all codes` : "";
  const probing = sum("expected_probing_us");
  const expectation = probing
    ? ` The planner expected ${micros(probing)} for probing and ${micros(sum("expected_scan_us"))} for a scan.`
    : "";
  at("plan-text").textContent =
    `Answered ${way}: ${count(sum("probes"))} probes, ${count(sum("candidates"))} codes compared${share}, ` +
    `in ${micros(told.time_us)} inside the engine.${expectation}`;
  const rows = segments.map((one) => {
    const radii = one.substring_radii
      .map((radius, j) => (radius < 0 ? null : `${radius} in ${one.substring_bits[j]} bits`))
      .filter((text) => text !== null);
    const line = document.createElement("tr");
    line.append(
      cell(one.shard, ""),
      cell(one.segment, ""),
      cell(count(one.n_codes), "number"),
      cell(one.scan ? "scan" : "probe", ""),
      cell(radii.length ? radii.join(", ") : "–", ""),
      cell(count(one.probes), "number"),
      cell(count(one.candidates), "number"),
      cell(count(one.verified), "number"),
      cell(count(one.matches), "number"),
      cell(micros(one.time_us), "number"),
    );
    return line;
  });
  at("plan").tBodies[0].replaceChildren(...rows);
}

const count = (n) => Number(n).toLocaleString("en");
const percent = (share) => `${(100 * share).toPrecision(share < 0.1 ? 2 : 3)} %`;
const micros = (us) => (us < 1000 ? `${us.toFixed(us < 10 ? 1 : 0)} µs` : `${(us / 1000).toFixed(1)} ms`);

// ---- what the user does

at("question").addEventListener("submit", search);
at("file").addEventListener("change", () => take(at("file").files[0]));
at("code").addEventListener("input", forgetPicture);
at("key").addEventListener("change", connect);
at("code").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) search(event);
});
at("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") at("file").click();
});
for (const kind of ["k", "radius"]) {
  at(kind).addEventListener("focus", () => {
    document.querySelector(`input[name=kind][value=${kind}]`).checked = true;
  });
}
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => event.preventDefault());
}
document.addEventListener("dragover", () => at("drop").classList.add("over"));
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  take(event.dataTransfer.files[0]);
});

connect();
