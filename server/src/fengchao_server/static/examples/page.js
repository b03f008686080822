// The page: shows an example, runs it, and words it as code. Text is only ever set as text, never as markup.
import { EXAMPLES } from "./catalogue.js";
import { LANGUAGES } from "./code.js";

const $ = (id) => document.getElementById(id);
const lists = { model: [], prompt: [], knowledge: [] };
const channels = new Map();
const kept = {}; // what an example learned for the others: a task's id, the names of files
const state = { example: EXAMPLES[0], values: {}, language: LANGUAGES[0], running: null };

$("token").value = sessionStorage.getItem("fengchao-token") ?? "";
$("token").addEventListener("input", (event) => sessionStorage.setItem("fengchao-token", event.target.value.trim()));
$("form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
$("form").addEventListener("input", () => { read(); showCode(); });
$("stop").addEventListener("click", () => state.running?.abort());
$("copy").addEventListener("click", copy);
for (const example of EXAMPLES) $("list").append(button(example.title, () => choose(example), { id: `example-${example.id}` }));
for (const language of LANGUAGES) {
  $("tabs").append(button(language.title, () => { state.language = language; showCode(); }, { id: `code-${language.id}`, role: "tab" }));
}
choose(EXAMPLES.find((example) => `#${example.id}` === location.hash) ?? EXAMPLES[0]);
loadLists();

async function loadLists() {
  const list = async (path) => (await (await fetch(path)).json()).data ?? [];
  try {
    const [models, prompts, bases] = await Promise.all(["/aigc/models/", "/aigc/prompts/", "/aigc/kgs/"].map(list));
    for (const model of models) channels.set(model.id, model.channel === "本地模型" ? "local" : "online");
    lists.model = models.filter((model) => model.mode.includes("stream")).map((model) => model.id);
    lists.prompt = prompts.map((prompt) => prompt.id);
    lists.knowledge = bases.map((base) => base.id);
  } catch {
    $("state").textContent = "列表未能载入 The lists could not be loaded";
  }
  choose(state.example);
}

function choose(example) {
  state.running?.abort();
  state.example = example;
  history.replaceState(null, "", `#${example.id}`);
  for (const each of EXAMPLES) $(`example-${each.id}`).setAttribute("aria-current", String(each === example));
  $("title").textContent = example.title;
  $("about").textContent = example.about;
  $("fields").replaceChildren(...example.fields.map(field));
  $("answer").hidden = $("raw-box").hidden = true;
  $("state").textContent = "";
  read();
  showCode();
}

function field(spec) {
  const label = document.createElement("label");
  const name = document.createElement("span");
  name.textContent = spec.label;
  const input = control(spec);
  input.name = spec.name;
  input.id = `field-${spec.name}`;
  if (spec.required) input.required = true;
  if (spec.kind === "long" || spec.kind === "files") label.className = "wide";
  label.append(name, input);
  return label;
}

function control(spec) {
  const before = kept[spec.name] ?? state.values[spec.name];
  if (spec.kind in lists) {
    const select = document.createElement("select");
    const options = spec.kind === "model" ? lists.model : ["", ...lists[spec.kind]];
    select.append(...options.map((value) => new Option(value || "（不用 none）", value)));
    if (typeof before === "string" && options.includes(before)) select.value = before;
    return select;
  }
  const input = document.createElement(spec.kind === "long" ? "textarea" : "input");
  if (spec.kind === "files") {
    input.type = "file";
    input.multiple = true;
    return input;
  }
  if (spec.kind === "number") Object.assign(input, { type: "number", step: spec.step, min: "0" });
  if (spec.kind === "long") input.rows = 3;
  input.value = typeof before === "string" && before !== "" ? before : (spec.value ?? "");
  return input;
}

function read() {
  for (const { name, kind } of state.example.fields) {
    const input = $(`field-${name}`);
    state.values[name] = kind === "files" ? [...input.files] : input.value;
  }
  state.values.channel = channels.get(state.values.model) ?? "online";
}

function worded() {
  const { example, values } = state;
  return { request: example.request(values), sdk: example.sdk(values), openai: example.openai?.(values), streams: example.streams, values };
}

function showCode() {
  for (const language of LANGUAGES) {
    const tab = $(`code-${language.id}`);
    tab.hidden = language.id === "openai" && !state.example.openai;
    tab.setAttribute("aria-selected", String(language === state.language));
  }
  const text = state.language.write(worded(), location.origin);
  if (text === null) {
    state.language = LANGUAGES[0];
    showCode();
    return;
  }
  $("code").textContent = text;
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("code").textContent);
    $("copy").textContent = "已复制 Copied";
  } catch {
    getSelection().selectAllChildren($("code"));
    $("copy").textContent = "请按 Ctrl+C";
  }
  setTimeout(() => { $("copy").textContent = "复制 Copy"; }, 1500);
}

async function run() {
  read();
  const { example } = state;
  const running = (state.running = new AbortController());
  const began = performance.now();
  say("…", "");
  busy(true);
  try {
    const answer = await fetch(...asked(example.request(state.values), running.signal));
    $("state").textContent = `HTTP ${answer.status}`;
    if (example.streams && (answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) await follow(answer);
    else await whole(answer, example);
    $("state").textContent = `HTTP ${answer.status} · ${Math.round(performance.now() - began)} ms`;
  } catch (error) {
    if (running.signal.aborted) $("state").textContent = "已停止 Stopped";
    else { say(`请求没有送达 The request did not arrive: ${error.message}`, "", true); $("state").textContent = "失败 Failed"; }
  } finally {
    if (state.running === running) { state.running = null; busy(false); }
  }
}

function asked(request, signal) {
  const headers = {};
  const token = $("token").value.trim();
  if (!request.open && token) headers.Authorization = `Bearer ${token}`;
  let body;
  if (request.files) {
    body = new FormData();
    for (const file of request.files) body.append("files", file);
  } else if (request.body) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(request.body);
  }
  return [request.path, { method: request.method, headers, body, signal, credentials: "omit" }];
}

async function whole(answer, example) {
  const text = await answer.text();
  let json;
  try { json = JSON.parse(text); } catch { say(text, "", !answer.ok); return; }
  Object.assign(kept, example.keeps?.(json) ?? {});
  const failed = !answer.ok || (json.status !== undefined && json.status !== 200);
  say(failed ? `${json.status ?? answer.status} ${json.msg ?? json.error?.message ?? ""}` : (spoken(json) ?? JSON.stringify(json, null, 2)), JSON.stringify(json, null, 2), failed);
}

// Events are lines that begin with `data:`, ended by an empty line; one may arrive in several reads.
async function follow(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "", text = "", raw = "", failed = false;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    const lines = waiting.split(/\r?\n/);
    waiting = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      raw += `${line}\n`;
      const event = JSON.parse(line.slice(5));
      failed = event.status !== 200;
      text += failed ? `\n${event.status} ${event.msg}` : (spoken(event) ?? "");
    }
    say(text, raw, failed);
  }
}

function spoken(answer) {
  return answer.choices?.map((choice) => choice.message?.content ?? "").join("\n");
}

function say(text, raw, failed = false) {
  $("answer").hidden = false;
  $("answer").textContent = text;
  $("answer").classList.toggle("bad", failed);
  $("raw-box").hidden = !raw;
  $("raw").textContent = raw;
}

function busy(is) {
  $("run").disabled = is;
  $("stop").disabled = !is;
}

function button(text, act, attributes) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
