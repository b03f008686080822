// Talks to /admin. The session is a cookie that scripts cannot read; what changes something repeats the CSRF token.

let csrf = "";

export class Refused extends Error {
  constructor(status, said) {
    super(said.detail ? `${said.msg}（${said.detail}）` : said.msg);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(`/admin${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
  });
  const said = await response.json().catch(() => ({ msg: `HTTP ${response.status}` }));
  if (!response.ok) throw new Refused(response.status, said);
  if (said.csrf) csrf = said.csrf;
  return said;
}
