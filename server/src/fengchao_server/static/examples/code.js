// A request as code: curl, our SDK, the openai SDK, JavaScript. The key stays out: it is read from the environment.

const TOKEN = "$FENGCHAO_TOKEN";

export const LANGUAGES = [
  { id: "curl", title: "curl", write: curl },
  { id: "python", title: "Python SDK", write: python },
  { id: "openai", title: "openai SDK", write: openai },
  { id: "javascript", title: "JavaScript", write: javascript },
];

function curl({ request, streams }, base) {
  const lines = [`curl${streams ? " -N" : ""} ${quoted(base + request.path)}`];
  if (request.method !== "GET" && !request.body && !request.files) lines.push(`-X ${request.method}`);
  if (!request.open) lines.push(`-H "Authorization: Bearer ${TOKEN}"`);
  if (request.body) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(request.body))}`);
  }
  for (const file of request.files ?? []) lines.push(`-F ${quoted(`files=@${file.name}`)}`);
  return lines.join(" \\\n  ");
}

function python({ sdk, streams }, base) {
  const head = `import os\n\nfrom fengchao import FengChao\n\nfengchao = FengChao(\n    api_key=os.environ["FENGCHAO_API_KEY"],\n    secret_key=os.environ["FENGCHAO_SECRET_KEY"],\n    base_url=${literal(base)},\n)\n`;
  if (sdk.call === "upload") return `${head}result = fengchao.upload_files(${literal(sdk.files)})\nprint(result)\n`;
  if (sdk.call !== "chat") return `${head}result = fengchao.${sdk.call}()\nprint(result)\n`;
  const parts = [literal(sdk.body.model)];
  if (sdk.body.query !== undefined) parts.push(`query=${literal(sdk.body.query)}`);
  for (const [name, value] of sdk.arguments_(sdk.body)) parts.push(`${name}=${literal(value)}`);
  const call = `result = fengchao.chat(\n    ${parts.join(",\n    ")},\n)\n`;
  return head + call + (streams ? "for part in result:\n    print(part.data.choices[0].message.content, end=\"\", flush=True)\n" : "print(result)\n");
}

function openai({ openai: said, values }, base) {
  if (!said) return null;
  const head = `import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${literal(`${base}/v1`)}, api_key=os.environ["FENGCHAO_TOKEN"])\n`;
  if (said.list) return `${head}for model in client.models.list():\n    print(model.id)\n`;
  const knobs = [`model=${literal(values.model)}`, `messages=${literal(said.messages)}`];
  if (values.temperature) knobs.push(`temperature=${Number(values.temperature)}`);
  if (values.max_tokens) knobs.push(`max_tokens=${Number(values.max_tokens)}`);
  if (said.stream) knobs.push("stream=True");
  const call = `client.chat.completions.create(\n    ${knobs.join(",\n    ")},\n)`;
  return said.stream
    ? `${head}for chunk in ${call}:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)\n`
    : `${head}answer = ${call}\nprint(answer.choices[0].message.content)\n`;
}

function javascript({ request, streams }, base) {
  const options = [`method: ${JSON.stringify(request.method)}`];
  const headers = [];
  if (!request.open) headers.push("Authorization: `Bearer ${token}`");
  let before = request.open ? "" : "const token = process.env.FENGCHAO_TOKEN;\n";
  if (request.body) {
    headers.push('"Content-Type": "application/json"');
    options.push(`body: JSON.stringify(${JSON.stringify(request.body, null, 2).replaceAll("\n", "\n  ")})`);
  }
  if (request.files) {
    before += "const form = new FormData();\nfor (const file of input.files) form.append(\"files\", file);\n";
    options.push("body: form");
  }
  if (headers.length) options.splice(1, 0, `headers: { ${headers.join(", ")} }`);
  const call = `${before}const answer = await fetch(${JSON.stringify(base + request.path)}, {\n  ${options.join(",\n  ")},\n});\n`;
  return streams
    ? `${call}for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) console.log(piece);\n`
    : `${call}console.log(await answer.json());\n`;
}

// For a POSIX shell: single quotes keep everything but a single quote as it is.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// A Python literal. JSON's strings and numbers are Python's, too.
function literal(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null || value === undefined) return "None";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${literal(name)}: ${literal(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}
