// The audit log, a page at a time.

import { call } from "./api.js";
import { button, h, instant, t, table } from "./dom.js";

const shown = (fields) => (Object.keys(fields).length ? JSON.stringify(fields) : "");

function rows(entries) {
  return entries.map((entry) => [
    instant(entry.at), entry.actor, entry.address, entry.action, h("span", { class: "code" }, entry.target),
    h("span", { class: "code" }, [shown(entry.before), shown(entry.after)].filter(Boolean).join(" → ")),
  ]);
}

export async function logPage() {
  const heads = [t("时间", "Time"), t("谁", "Who"), t("从哪里", "From"), t("操作", "Action"), t("对象", "Target"), t("变化", "Change")];
  const place = h("div", {});
  const more = button(t("更早的", "Older"), () => load(more.dataset.next));
  const load = async (before) => {
    const page = await call("GET", `/audit?limit=50${before ? `&before=${before}` : ""}`);
    place.append(table(heads, rows(page.entries)));
    more.dataset.next = page.next ?? "";
    more.hidden = page.next === null;
  };
  await load();
  return h("section", { class: "card" }, h("h2", {}, t("审计日志", "Audit log")), place, more);
}
