// The examples: what can be changed in each, the request it makes, and how the same is said with the two SDKs.

const chat = (values, mode) => ({
  method: "POST",
  path: values.channel === "local" ? "/aigc/local_chat/" : "/aigc/chat/",
  body: given({
    model: values.model,
    query: values.query,
    mode,
    system: values.system,
    prompt: values.prompt,
    knowledge: values.knowledge,
    temperature: number(values.temperature),
    max_tokens: number(values.max_tokens),
  }),
});

const MODEL = { name: "model", label: "模型 model", kind: "model" };
const QUERY = { name: "query", label: "问题 query", kind: "long", value: "用一句话介绍北京。" };
const KNOBS = [
  { name: "system", label: "系统描述 system", kind: "text" },
  { name: "prompt", label: "指令 prompt", kind: "prompt" },
  { name: "knowledge", label: "知识库 knowledge", kind: "knowledge" },
  { name: "temperature", label: "随机性 temperature", kind: "number", value: "0.8", step: "0.1" },
  { name: "max_tokens", label: "最长回答 max_tokens", kind: "number", value: "256", step: "1" },
];

// SDK arguments of a chat: everything of the body but the model and the question, which come first.
const arguments_ = (body) => Object.entries(body).filter(([name]) => name !== "model" && name !== "query");

const messages = (values) => [
  ...(values.system ? [{ role: "system", content: values.system }] : []),
  { role: "user", content: values.query },
];

export const EXAMPLES = [
  {
    id: "invoke",
    title: "同步对话 Invoke",
    about: "问一句，等完整的回答。One question, the whole answer.",
    fields: [MODEL, QUERY, ...KNOBS],
    request: (values) => chat(values, "invoke"),
    sdk: (values) => ({ call: "chat", body: chat(values, "invoke").body, arguments_ }),
    openai: (values) => ({ messages: messages(values), stream: false }),
  },
  {
    id: "stream",
    title: "流式对话 Stream",
    about: "回答边生成边返回（SSE）。The answer as it is made.",
    fields: [MODEL, QUERY, ...KNOBS],
    streams: true,
    request: (values) => chat(values, "stream"),
    sdk: (values) => ({ call: "chat", body: chat(values, "stream").body, arguments_, streams: true }),
    openai: (values) => ({ messages: messages(values), stream: true }),
  },
  {
    id: "async",
    title: "异步对话 Async",
    about: "提交任务，先得到任务编号，稍后取结果。Submit now, fetch later.",
    fields: [MODEL, QUERY, ...KNOBS],
    request: (values) => chat(values, "async"),
    keeps: (answer) => ({ task_id: answer.choices?.[0]?.message.content }),
    sdk: (values) => ({ call: "chat", body: chat(values, "async").body, arguments_ }),
  },
  {
    id: "async_result",
    title: "异步结果 Async result",
    about: "用任务编号取结果；还没生成时 status 为 6602。The result of a task; 6602 while it runs.",
    fields: [MODEL, { name: "task_id", label: "任务编号 task_id", kind: "text", required: true }],
    request: (values) => ({
      method: "POST",
      path: values.channel === "local" ? "/aigc/local_chat/" : "/aigc/chat/",
      body: given({ model: values.model, mode: "async_result", task_id: values.task_id }),
    }),
    sdk: (values) => ({ call: "chat", body: { model: values.model, mode: "async_result", task_id: values.task_id }, arguments_ }),
  },
  {
    id: "models",
    title: "模型列表 Models",
    about: "能用的模型、价格与类别。The models, their prices and channels.",
    fields: [],
    request: () => ({ method: "GET", path: "/aigc/models/", open: true }),
    sdk: () => ({ call: "models", body: {} }),
    openai: () => ({ list: true }),
  },
  {
    id: "prompts",
    title: "指令列表 Prompts",
    about: "预设的指令。The preset instructions.",
    fields: [],
    request: () => ({ method: "GET", path: "/aigc/prompts/", open: true }),
    sdk: () => ({ call: "prompts", body: {} }),
  },
  {
    id: "kgs",
    title: "知识库列表 Knowledge bases",
    about: "可以在对话里引用的知识库。The knowledge bases a chat can draw on.",
    fields: [],
    request: () => ({ method: "GET", path: "/aigc/kgs/", open: true }),
    sdk: () => ({ call: "kgs", body: {} }),
  },
  {
    id: "files",
    title: "上传文件 Files",
    about: "上传一个或多个文件，得到文件名，供对话使用。Upload files, and get their names for a chat.",
    fields: [{ name: "files", label: "文件 files", kind: "files", required: true }],
    request: (values) => ({ method: "POST", path: "/aigc/uploadfiles/", files: values.files ?? [] }),
    keeps: (answer) => {
      const names = answer.files ?? answer.data?.files ?? answer.data;
      return Array.isArray(names) && names.length ? { files: names.join(",") } : {};
    },
    sdk: (values) => ({ call: "upload", files: (values.files ?? []).map((file) => file.name) }),
  },
  {
    id: "files_chat",
    title: "就文件提问 Ask about files",
    about: "在 files 里填上传得到的文件名，用逗号分开。Ask about what was uploaded.",
    fields: [MODEL, { ...QUERY, value: "这份文件讲了什么？" }, { name: "files", label: "文件名 files", kind: "text", required: true }],
    request: (values) => {
      const request = chat(values, "invoke");
      request.body.files = names(values.files);
      return request;
    },
    sdk: (values) => ({ call: "chat", body: { ...chat(values, "invoke").body, files: names(values.files) }, arguments_ }),
  },
];

// What was left empty is not sent: the gateway's own default holds.
function given(body) {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== "" && value !== undefined && value !== null));
}

function number(text) {
  return text === "" || text === undefined ? undefined : Number(text);
}

function names(text) {
  return (text ?? "").split(/[,，\s]+/).filter(Boolean);
}
