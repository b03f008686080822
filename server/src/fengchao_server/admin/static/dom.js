// Builds what is shown. Text only ever becomes text: nothing that came from the server or a person is read as HTML.

const saved = () => { try { return localStorage.getItem("fengchao-language"); } catch { return null; } };
let english = saved() === "en";

export const isEnglish = () => english;

export function switchLanguage() {
  english = !english;
  try { localStorage.setItem("fengchao-language", english ? "en" : "zh"); } catch { /* only for this page, then */ }
  document.documentElement.lang = english ? "en" : "zh-CN";
}

// The one of two wordings that is shown.
export const t = (chinese, english_) => (english ? english_ : chinese);

// An element: h("p", {class: "soft", onclick: …}, "text", child, …).
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const button = (text, onclick, kind = "") => h("button", { type: "button", class: kind, onclick }, text);

export function field(text, name, options = {}) {
  const { rows, ...others } = options;
  const input = h(rows ? "textarea" : "input", { name, rows, autocomplete: "off", ...others });
  if (rows) input.value = others.value ?? "";
  return h("label", {}, h("span", {}, text), input);
}

export function table(heads, rows) {
  const cells = (row) => row.map((cell, i) => h("td", { "data-label": heads[i] || null }, cell));
  return h("div", { class: "wide" }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, cells(row))))));
}

let timer = 0;
export function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { place.textContent = ""; }, 6000);
}

// A form in a dialog. `done` gets the form's values; while it fails the dialog stays, and says why.
export function dialog(title, parts, done, { ok = t("确定", "OK"), cancel = t("取消", "Cancel"), kind = "main" } = {}) {
  const problem = h("p", { class: "bad", role: "alert" });
  const submit = h("button", { class: kind }, ok);
  const box = h("dialog", { "aria-label": title },
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      submit.disabled = true;
      problem.textContent = "";
      try {
        await done?.(Object.fromEntries(new FormData(event.target)));
        box.close();
      } catch (error) {
        problem.textContent = error.message;
      }
      submit.disabled = false;
    } },
    h("h2", {}, title), parts, problem,
    h("div", { class: "row" }, cancel && button(cancel, () => box.close()), submit)));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

export function copyable(text, value) {
  const copy = async () => {
    try { await navigator.clipboard.writeText(value); notice(t("已复制", "Copied")); }
    catch { notice(t("请手动选中复制", "Select and copy it by hand")); }
  };
  return h("label", {}, h("span", {}, text),
    h("div", { class: "copy" }, h("input", { class: "code", readonly: true, value, "data-secret": text }), button(t("复制", "Copy"), copy)));
}

export const instant = (text) => (text ? new Date(text).toLocaleString(isEnglish() ? "en" : "zh-CN") : "");
