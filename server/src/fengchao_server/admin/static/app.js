// The security centre: signing in, and the frame around its pages.

import { Refused, call } from "./api.js";
import { button, dialog, field, h, isEnglish, notice, switchLanguage, t } from "./dom.js";
import { keysPage } from "./keys.js";
import { logPage } from "./log.js";

const app = document.getElementById("app");
const link = location.pathname.replace(/\/$/, "") === "/admin/setup" ? location.hash.slice(1) : null;
let who = null;

const language = (again) => button(isEnglish() ? "中文" : "English", () => { switchLanguage(); again(); });

function frame(title, problem, parts, done) {
  app.replaceChildren(h("main", { class: "card narrow" },
    h("header", {}, h("h1", {}, title), language(() => frameAgain())),
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const submit = event.target.querySelector("button.main");
      submit.disabled = true;
      problem.textContent = "";
      try { await done(Object.fromEntries(new FormData(event.target))); }
      catch (error) { problem.textContent = error.message; submit.disabled = false; }
    } }, parts, problem)));
}

let frameAgain = () => {};
const alarm = () => h("p", { class: "bad", role: "alert" });

function signIn() {
  frameAgain = signIn;
  frame(t("蜂巢 · 安全中心", "fengchao · Security centre"), alarm(), [
    field(t("用户名", "Name"), "name", { required: true, autocomplete: "username", autofocus: true }),
    field(t("口令", "Password"), "password", { required: true, type: "password", autocomplete: "current-password" }),
    h("div", { class: "row" }, h("button", { class: "main" }, t("登录", "Sign in"))),
    h("p", { class: "soft" }, t("忘了口令，或者还没有账号：在网关的机器上运行 ", "No account, or password forgotten: on the gateway's machine run "),
      h("code", {}, "fengchao admin setup-link")),
  ], async (values) => { who = await call("POST", "/login", values); await show("keys"); });
}

function setUp() {
  frameAgain = setUp;
  frame(t("设置口令", "Set a password"), alarm(), [
    h("p", { class: "soft" }, t("这个链接只能用一次。口令至少 10 个字符。", "This link works once. A password has at least 10 characters.")),
    field(t("用户名", "Name"), "name", { required: true, maxlength: 64, autocomplete: "username", autofocus: true }),
    field(t("口令", "Password"), "password", { required: true, type: "password", minlength: 10, maxlength: 256, autocomplete: "new-password" }),
    field(t("再输一次", "Once more"), "again", { required: true, type: "password", autocomplete: "new-password" }),
    h("div", { class: "row" }, h("button", { class: "main" }, t("设置并登录", "Set it and sign in"))),
  ], async ({ name, password, again }) => {
    if (password !== again) throw new Error(t("两次输入的口令不同", "The two passwords differ"));
    who = await call("POST", "/setup", { token: link, name, password });
    history.replaceState(null, "", "/admin/");
    await show("keys");
  });
}

const changePassword = () => dialog(t("修改口令", "Change the password"), [
  field(t("原口令", "Old password"), "old", { required: true, type: "password", autocomplete: "current-password" }),
  field(t("新口令", "New password"), "new", { required: true, type: "password", minlength: 10, maxlength: 256, autocomplete: "new-password" }),
], async (values) => {
  await call("POST", "/password", values);
  notice(t("口令已修改，其他会话已退出", "The password is changed, other sessions have ended"));
});

async function signOut() {
  await call("POST", "/logout").catch(() => {});
  who = null;
  signIn();
}

const PAGES = {
  keys: [() => t("密钥", "Keys"), (again) => keysPage(who.role === "operator", again)],
  log: [() => t("审计日志", "Audit log"), () => logPage()],
};

async function show(name) {
  let page;
  try { page = await PAGES[name][1](show); }
  catch (error) {
    if (error instanceof Refused && error.status === 401) { signIn(); return; }
    page = h("p", { class: "bad", role: "alert" }, error.message);
  }
  app.replaceChildren(
    h("header", {}, h("h1", {}, t("蜂巢 · 安全中心", "fengchao · Security centre")),
      h("nav", {}, Object.entries(PAGES).map(([other, [title]]) =>
        h("button", { type: "button", "aria-current": other === name ? "page" : null, onclick: () => show(other) }, title()))),
      h("span", { class: "soft" }, who.name, who.role === "viewer" ? t("（只读）", " (read only)") : ""),
      button(t("口令", "Password"), changePassword), button(t("退出", "Sign out"), signOut), language(() => show(name))),
    h("main", {}, page));
}

document.documentElement.lang = isEnglish() ? "en" : "zh-CN";
if (link !== null) setUp();
else call("GET", "/session").then((session) => { who = session; return show("keys"); }).catch(signIn);
