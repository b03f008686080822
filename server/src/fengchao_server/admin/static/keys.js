// The keys: a list, and what can be done with each.

import { call } from "./api.js";
import { button, copyable, dialog, field, h, instant, notice, t, table } from "./dom.js";

const list = (text) => text.split(/[\s,，]+/).filter(Boolean);
const path = (key, more = "") => `/keys/${encodeURIComponent(key.api_key)}${more}`;

const STATES = {
  live: () => h("span", { class: "good" }, t("有效", "live")),
  expired: () => h("span", { class: "soft" }, t("已过期", "expired")),
  revoked: () => h("span", { class: "bad" }, t("已吊销", "revoked")),
};

// The local instant that a field of a date and time holds, and back.
const toField = (text) => {
  if (!text) return "";
  const at = new Date(text);
  return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
};
const fromField = (text) => (text ? new Date(text).toISOString() : null);

function fields(key = {}) {
  return [
    field(t("名称（给谁用）", "Name (who it is for)"), "name", { required: true, maxlength: 64, value: key.name ?? "" }),
    field(t("允许的模型，空格隔开，空为不限", "Models, separated by spaces; empty: all"), "models",
      { value: (key.models ?? []).join(" ") }),
    field(t("允许的地址或网段，空格隔开，空为不限", "Addresses or networks; empty: from everywhere"), "addresses",
      { value: (key.addresses ?? []).join(" "), placeholder: "10.0.0.0/8" }),
    field(t("分组", "Group"), "group", { maxlength: 64, value: key.group ?? "" }),
    field(t("限额（JSON）", "Limits (JSON)"), "limits",
      { value: Object.keys(key.limits ?? {}).length ? JSON.stringify(key.limits) : "", placeholder: '{"requests_per_minute": 60}' }),
    field(t("到期", "Expires"), "expires_at", { type: "datetime-local", value: toField(key.expires_at) }),
    field(t("备注", "Note"), "note", { rows: 2, maxlength: 1000, value: key.note ?? "" }),
  ];
}

function asked(values, key = {}) {
  let limits = null;
  try { limits = values.limits.trim() ? JSON.parse(values.limits) : null; }
  catch { throw new Error(t("限额不是 JSON", "The limits are not JSON")); }
  // An instant that was not touched is sent back as it came: the field drops its seconds.
  const untouched = values.expires_at === toField(key.expires_at);
  return {
    name: values.name, models: list(values.models), addresses: list(values.addresses), group: values.group,
    limits, expires_at: untouched ? key.expires_at ?? null : fromField(values.expires_at), note: values.note,
  };
}

function showSecret(title, key) {
  dialog(title, [
    h("p", { class: "bad" }, t("请立即保存：secret_key 与 token 不会再次显示。", "Keep them now: they are not shown again.")),
    ["api_key", "secret_key", "token"].map((name) => copyable(name, key[name])),
  ], null, { ok: t("我已保存", "I have kept them"), cancel: null });
}

export async function keysPage(canChange, show) {
  const reload = () => show("keys");
  const { keys } = await call("GET", "/keys");

  const create = () => dialog(t("生成密钥", "Make a key"), fields(), async (values) => {
    const key = await call("POST", "/keys", asked(values));
    await reload();
    showSecret(t("密钥已生成", "The key is made"), key);
  }, { ok: t("生成", "Make") });

  const change = (key) => dialog(t("修改密钥", "Change the key"), fields(key), async (values) => {
    await call("PATCH", path(key), asked(values, key));
    await reload();
    notice(t("已修改", "Changed"));
  }, { ok: t("保存", "Save") });

  const rotate = (key) => dialog(t(`更换 ${key.name} 的 secret`, `Rotate ${key.name}`), [
    h("p", {}, t("旧的 secret 在宽限期内继续有效；怀疑泄露就选 0。", "The old secret works until the time of grace ends; choose 0 if it may have leaked.")),
    field(t("宽限期（小时）", "Grace (hours)"), "hours", { type: "number", min: 0, max: 2160, step: "any", value: 24, required: true }),
  ], async (values) => {
    const fresh = await call("POST", path(key, "/rotate"), { grace_s: Math.round(values.hours * 3600) });
    await reload();
    showSecret(t("secret 已更换", "The secret is replaced"), fresh);
  }, { ok: t("更换", "Rotate") });

  const endGrace = (key) => dialog(t("结束宽限期", "End the grace"),
    h("p", {}, t(`${key.name} 的旧 secret 立即失效。`, `The old secret of ${key.name} stops working at once.`)),
    async () => { await call("DELETE", path(key, "/grace")); await reload(); },
    { ok: t("立即失效", "End it"), kind: "danger" });

  const revoke = (key) => dialog(t("吊销密钥", "Revoke the key"),
    h("p", {}, t(`吊销 ${key.name} 之后不能恢复，用它的业务立即不能访问。`, `${key.name} stops working for good, at once.`)),
    async () => { await call("DELETE", path(key)); await reload(); notice(t("已吊销", "Revoked")); },
    { ok: t("吊销", "Revoke"), kind: "danger" });

  const all = t("不限", "all");
  const rows = keys.toReversed().map((key) => [
    h("div", {}, h("strong", {}, key.name), h("div", { class: "code soft" }, key.api_key),
      key.note && h("div", { class: "soft" }, key.note)),
    h("div", {}, STATES[key.state](),
      key.expires_at && h("div", { class: "soft" }, t("到期 ", "until "), instant(key.expires_at)),
      key.old_secret_until && key.state === "live" && new Date(key.old_secret_until) > new Date()
        && h("div", { class: "soft" }, t("旧 secret 有效至 ", "old secret until "), instant(key.old_secret_until))),
    key.models.join(", ") || all,
    key.addresses.join(", ") || all,
    [key.group, Object.keys(key.limits).length ? JSON.stringify(key.limits) : ""].filter(Boolean).join(" · "),
    canChange && key.state !== "revoked" ? h("div", { class: "actions" },
      button(t("修改", "Change"), () => change(key)), button(t("更换", "Rotate"), () => rotate(key)),
      key.old_secret_until && button(t("结束宽限", "End grace"), () => endGrace(key)),
      button(t("吊销", "Revoke"), () => revoke(key), "danger")) : "",
  ]);
  return h("section", { class: "card" },
    h("div", { class: "row" }, h("h2", {}, t("密钥", "Keys")),
      canChange && button(t("生成密钥", "Make a key"), create, "main")),
    keys.length
      ? table([t("名称", "Name"), t("状态", "State"), t("模型", "Models"), t("地址", "Addresses"), t("分组与限额", "Group, limits"), ""], rows)
      : h("p", { class: "soft" }, t("还没有密钥。每个业务用自己的一把。", "No keys yet. Each application should have its own.")));
}
