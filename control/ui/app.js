// The pages use the public API and nothing else. Everything that comes from elsewhere is
// set as text, never as markup; the token lives in this tab only.
"use strict";

const main = document.getElementById("main");
const notice = document.getElementById("notice");
const KEY = "weir-token";
const REFRESH_MS = 4000;
let me = null;
let timer = 0;

// ---- building ------------------------------------------------------------------------

/** Makes an element: attributes by name, children as nodes or text. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== ""));
  return node;
}

/** Shows what would change the order of other characters, instead of obeying it. */
function plain(text) {
  return String(text).replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c]/g, "\ufffd");
}

const tag = (text, kind = "") => el("span", { class: `tag ${kind}` }, plain(text));
const time = (seconds) => {
  const date = new Date(seconds * 1000);
  return el("time", { datetime: date.toISOString(), title: date.toISOString() }, date.toLocaleString());
};

function pairs(list) {
  const rows = list.filter(([, value]) => value !== null && value !== "");
  return el("dl", {}, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body)));
}

function show(...nodes) {
  main.replaceChildren(...nodes);
}

function tell(text, bad = false) {
  notice.textContent = plain(text);
  notice.className = bad ? "notice bad" : "notice";
  notice.hidden = !text;
}

// ---- asking --------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, method = "GET", body = null) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  const value = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, value?.message ?? answer.statusText);
  return value;
}

// ---- pages ---------------------------------------------------------------------------

function signIn() {
  me = null;
  document.getElementById("nav").hidden = document.getElementById("me").hidden = true;
  const input = el("input", { id: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const enter = async (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, input.value.trim());
    try { await start(); tell(""); } catch (error) { sessionStorage.removeItem(KEY); tell(error.message, true); input.focus(); }
  };
  show(el("section", { class: "card" }, el("h2", {}, "Sign in"),
    el("p", { class: "soft" }, "With an API token of yours: ", el("code", {}, "weir account token NAME --scope api")),
    el("form", { on: { submit: enter } }, el("label", { for: "token" }, "Token", input), el("button", {}, "Sign in"))));
  input.focus();
}

const STATES = { pending: "warn", approved: "ok", denied: "bad", spent: "ok", expired: "", withdrawn: "" };

function requester(who) {
  return [who.subject, who.agent && `agent ${who.agent}`, who.workload && `workload ${who.workload}`].filter(Boolean).join(", ");
}

function approvalCard(item) {
  const reason = el("input", { id: `r-${item.id}`, autocomplete: "off" });
  const decide = (verb) => async () => {
    if (verb === "deny" && !reason.value.trim()) { tell("A denial needs a reason: whoever asked is told it.", true); reason.focus(); return; }
    try {
      const after = await ask(`/approvals/${item.id}/${verb}`, "POST", { reason: reason.value });
      tell(after.state === "pending" ? "Recorded. Others are needed too." : `The request is ${after.state}.`);
    } catch (error) { tell(error.message, true); }
    await route();
    main.focus();
  };
  const votes = item.votes.map((vote) => `${vote.account} ${vote.approved ? "approved" : "denied"}${vote.reason ? ` (${vote.reason})` : ""}`);
  const open = item.state === "pending";
  return el("article", { class: "card", "aria-labelledby": `h-${item.id}` },
    el("div", { class: "head" }, el("h3", { id: `h-${item.id}` }, plain(`${requester(item.requester)} on ${item.connection}`)), tag(item.state, STATES[item.state])),
    el("pre", {}, plain(item.operation)),
    pairs([
      ["Asks for", el("span", {}, item.accesses.flatMap((access) => [tag(plain(`${access.action} ${access.resource}`)), " "]))],
      ["Because", plain(item.reason)],
      ["Policy", item.policies.join(", ")],
      ["Decides", `${item.quorum} of each: ${item.approvers.join(", ")}`],
      ["Said", plain(votes.join("; "))],
      ["Owner", item.owner],
      ["From", plain(`${item.source} on ${item.node}`)],
      ["Asked", time(item.created)],
      [open ? "Until" : "Ended", time(open ? item.expires : item.decided ?? item.expires)],
      ["Definition", item.definition ? el("span", {}, el("code", {}, item.definition.slice(0, 16) + "…"), item.definition_since ? [" in use since ", time(item.definition_since)] : " not in use any more") : null],
      ["Digest", el("code", {}, item.digest.slice(0, 16) + "…")],
    ]),
    !open ? null : item.hindrance ? el("p", { class: "soft" }, `You cannot decide: ${plain(item.hindrance)}.`)
      : el("form", { on: { submit: (event) => event.preventDefault() } },
        el("label", { for: `r-${item.id}` }, "Reason", reason),
        el("button", { type: "button", on: { click: decide("approve") } }, "✓ Approve"),
        el("button", { type: "button", class: "deny", on: { click: decide("deny") } }, "✕ Deny")));
}

async function approvals() {
  const all = await ask("/approvals");
  const waiting = all.filter((item) => item.state === "pending");
  const decided = all.filter((item) => item.state !== "pending").slice(0, 20);
  badge(waiting.filter((item) => !item.hindrance).length);
  // What a person is typing is not taken from under their hands.
  if (main.dataset.page === "approvals" && [...main.querySelectorAll("input")].some((input) => input.value || input === document.activeElement)) return;
  main.dataset.page = "approvals";
  show(el("h2", {}, "Approvals"),
    ...(waiting.length ? waiting.map(approvalCard) : [el("p", { class: "card empty" }, "Nothing waits for a decision.")]),
    ...(decided.length ? [el("details", {}, el("summary", {}, "Decided lately"), el("br"), ...decided.map(approvalCard))] : []));
}

// Where links in answers to agents lead.
async function approval(id) {
  const item = await ask(`/approvals/${encodeURIComponent(id)}`);
  if (main.dataset.page === `approval ${id}` && [...main.querySelectorAll("input")].some((input) => input.value || input === document.activeElement)) return;
  main.dataset.page = `approval ${id}`;
  show(el("p", {}, el("a", { href: "#/approvals" }, "← Approvals")), el("h2", {}, "Approval"), approvalCard(item));
}

function badge(count) {
  const node = document.getElementById("badge");
  node.textContent = count;
  node.hidden = !count;
  node.setAttribute("aria-label", `${count} wait for you`);
}

const by = (session) => [session.identity, session.workload && `workload ${session.workload}`].filter(Boolean).join(" by ") || "unknown";

async function sessions() {
  const list = await ask("/sessions?limit=100");
  main.dataset.page = "sessions";
  const rows = list.map((session) => [
    el("a", { href: `#/sessions/${encodeURIComponent(session.id)}` }, time(session.started_us / 1e6)),
    plain(by(session)), session.connection, String(session.operations),
    session.refused ? tag(`✕ ${session.refused}`, "bad") : "0", session.held ? tag(`⏸ ${session.held}`, "warn") : "0",
    session.masked ? tag(`▨ ${session.masked}`, "mask") : "0", String(session.rows),
  ]);
  show(el("h2", {}, "Sessions"), rows.length
    ? table("The latest sessions, from the audit log", ["Started", "Who", "Connection", "Operations", "Refused", "Held", "Masked", "Rows"], rows)
    : el("p", { class: "card empty" }, "No session was recorded yet."));
}

const VERDICTS = { allow: ["✓ allow", "ok"], mask: ["▨ mask", "mask"], hold: ["⏸ hold", "warn"], deny: ["✕ deny", "bad"] };

const cause = (link) => !link ? null : link.candidates
  ? (link.candidates === 1 ? "a call that is not known for certain (ambiguous)" : `one of ${link.candidates} calls (ambiguous)`)
  : el("span", {}, el("a", { href: `#/sessions/${encodeURIComponent(link.session)}` }, `call ${link.operation} of ${link.session}`), ` by ${link.kind}`);

// A record, and below the intent of a call what it caused in other sessions.
function eventItem(event, caused = []) {
  const below = event.kind === "intent" ? caused.filter((item) => item.by === event.operation) : [];
  const [word, kind] = VERDICTS[event.verdict] ?? (event.kind === "refusal" ? ["✕ refused", "bad"] : ["", ""]);
  const masked = event.masked.flatMap((mask) => [el("span", { class: "tag mask", title: `masked by ${mask.rule}` }, plain(`▨ ${mask.what} · ${mask.rule}`)), " "]);
  return el("li", { class: event.masked.length ? "mask" : kind },
    el("div", { class: "head" }, tag(event.kind), word ? tag(word, kind) : null, event.outcome ? tag(event.outcome) : null,
      event.rows ? el("span", { class: "soft" }, `${event.rows} rows`) : null,
      el("span", { class: "soft" }, time(event.at_us / 1e6), ` · leaf ${event.index}`)),
    event.summary ? el("pre", {}, plain(event.summary)) : null,
    masked.length ? el("p", {}, masked) : null,
    pairs([["Reason", plain(event.reason)], ["Policy", event.policies.join(", ")], ["Approval", event.approval], ["Approved by", event.approvers.join(", ")], ["Caused by", cause(event.link)]]),
    below.length ? el("ol", { class: "timeline" }, below.map((item) => {
      const node = eventItem(item.event);
      node.prepend(el("p", { class: "soft" }, plain(`${by(item)} on ${item.connection} · `), el("a", { href: `#/sessions/${encodeURIComponent(item.session)}` }, item.session)));
      return node;
    })) : null);
}

async function session(id) {
  const detail = await ask(`/sessions/${encodeURIComponent(id)}`);
  main.dataset.page = "session";
  const about = detail.session;
  const list = el("ol", { class: "timeline" }, detail.events.map((event) => eventItem(event, detail.caused)));
  let next = detail.next;
  const more = el("button", { type: "button", class: "quiet", hidden: next === null, on: { click: async () => {
    const page = await ask(`/sessions/${encodeURIComponent(id)}?from=${next}`);
    list.append(...page.events.map((event) => eventItem(event, page.caused)));
    next = page.next;
    more.hidden = next === null;
  } } }, "More records");
  show(el("p", {}, el("a", { href: "#/sessions" }, "← Sessions")), el("h2", {}, plain(`${by(about)} on ${about.connection || "no connection"}`)),
    el("div", { class: "card" }, pairs([["Session", el("code", {}, about.id)], ["From", plain(about.source)], ["Protocol", about.protocol],
      ["Started", time(about.started_us / 1e6)], ["Last", time(about.last_us / 1e6)], ["Operations", String(about.operations)], ["Rows", String(about.rows)]])),
    list, more);
}

function toolCard(connection, detail) {
  const { tool, diff, pending } = detail;
  const reason = el("input", { id: `t-${connection}-${tool.name}`, autocomplete: "off" });
  const use = (definition) => async () => {
    if (!reason.value.trim()) { tell("Say why, for the record.", true); reason.focus(); return; }
    const path = `/connections/${encodeURIComponent(connection)}/tools/approve`;
    try {
      await ask(path, "POST", { tools: [{ name: tool.name, definition }], reason: reason.value });
      tell(`${tool.name} may be used.`);
    } catch (error) { tell(error.message, true); }
    reason.value = "";
    await route();
    main.focus();
  };
  const lines = diff.flatMap((line) => [el("span", { class: { "+": "added", "-": "removed" }[line[0]] ?? "" }, plain(line)), "\n"]);
  const button = (text, definition, kind = "") => el("button", { type: "button", class: kind, on: { click: use(definition) } }, text);
  return el("article", { class: "card", "aria-label": plain(`${tool.name} of ${connection}`) },
    el("div", { class: "head" }, el("h3", {}, plain(`${tool.name} of ${connection}`)), tag("quarantined", "bad")),
    el("p", { class: "soft" }, plain(tool.doubt)), el("pre", {}, lines),
    pairs([["Seen by", tool.node], ["Since", tool.changed ? time(tool.changed) : ""],
      ["New", el("code", {}, (tool.pending ?? "").slice(0, 16))], ["Old", tool.approved ? el("code", {}, tool.approved.slice(0, 16)) : ""]]),
    !pending ? el("p", { class: "soft" }, "It is too large to be shown, and cannot be approved.")
      : el("form", { on: { submit: (event) => event.preventDefault() } }, el("label", { for: reason.id }, "Reason", reason),
        button("✓ Use the new definition", tool.pending), tool.approved ? button("Keep the old one", tool.approved, "quiet") : null));
}

async function tools() {
  const servers = (await ask("/connections")).map((view) => view.connection).filter((connection) => connection.kind === "mcp");
  const all = await Promise.all(servers.map(async ({ name }) => ({ name, tools: await ask(`/connections/${encodeURIComponent(name)}/tools`) })));
  const waiting = await Promise.all(all.flatMap(({ name, tools }) => tools.filter((tool) => tool.pending)
    .map(async (tool) => toolCard(name, await ask(`/connections/${encodeURIComponent(name)}/tool?name=${encodeURIComponent(tool.name)}`)))));
  if (main.dataset.page === "tools" && [...main.querySelectorAll("input")].some((input) => input.value || input === document.activeElement)) return;
  main.dataset.page = "tools";
  const rows = all.flatMap(({ name, tools }) => tools.map((tool) => [
    plain(tool.name), name, tool.quarantined ? tag("quarantined", "bad") : tool.decided ? tag("approved", "ok") : tag("first sight"),
    el("code", {}, (tool.approved ?? "").slice(0, 16)), time(tool.first_seen), plain(tool.decided_by ? `${tool.decided_by}: ${tool.reason}` : ""),
  ]));
  show(el("h2", {}, "Tools"), ...waiting, rows.length
    ? table("Tools of MCP servers, as they were seen", ["Tool", "Server", "State", "Definition", "First seen", "Approved by"], rows)
    : el("p", { class: "card empty" }, "No server has listed its tools yet."));
}

async function nodes() {
  const [list, alerts] = await Promise.all([ask("/nodes"), ask("/alerts")]);
  main.dataset.page = "nodes";
  const cards = list.map((node) => {
    const health = node.health;
    const push = { applied: ["✓ in force", "ok"], pending: ["… pending", "warn"], rejected: ["✕ rejected", "bad"] }[node.push];
    const canary = !health ? ["unknown", "warn"] : health.canary === "passed" ? ["✓ passed", "ok"] : health.canary === "not-applicable" ? ["not needed", ""] : [`✕ ${health.canary}`, "bad"];
    return el("article", { class: "card" },
      el("div", { class: "head" }, el("h3", {}, node.name), node.connected ? tag("✓ connected", "ok") : tag("✕ away", "bad"), tag(`world ${push[0]}`, push[1]), tag(`canary ${canary[0]}`, canary[1]), node.log_alert ? tag("✕ log alert", "bad") : null),
      pairs([
        ["Build", node.build], ["World", node.applied === node.wanted ? String(node.applied) : `${node.applied} in force, ${node.wanted} wanted`], ["Error", plain(node.error)],
        ["Last seen", node.last_seen ? time(node.last_seen) : "never"], ["Flows", health ? String(health.active_flows) : ""],
        ["Guards", health ? health.guards.map((guard) => `${guard.cgroup} (${guard.mode}${guard.attached ? "" : ", not attached"})`).join(", ") : ""],
        ["Audit log", `${node.leaves} leaves stored, checkpoint at ${node.checkpoint_size}`],
        ["Canary", plain(health?.canary_detail ?? "")], ["Kernel", plain(health?.kernel ?? "")],
      ]));
  });
  show(el("h2", {}, "Nodes"),
    ...(alerts.length ? [table("Alerts", ["When", "Node", "What", "Detail"], alerts.map((alert) => [time(alert.at), alert.node, tag(alert.kind, "bad"), plain(alert.detail)])), el("br")] : []),
    ...(cards.length ? cards : [el("p", { class: "card empty" }, "No node is registered. ", el("code", {}, "weir node add NAME"))]));
}

// ---- the way -------------------------------------------------------------------------

async function route() {
  clearTimeout(timer);
  const [, page = "approvals", id] = location.hash.split("/");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${page}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  try {
    if (page === "sessions" && id) await session(decodeURIComponent(id));
    else if (page === "sessions") await sessions();
    else if (page === "tools") await tools();
    else if (page === "nodes") await nodes();
    else if (page === "approvals" && id) await approval(decodeURIComponent(id));
    else await approvals();
  } catch (error) {
    if (error.status === 401) { sessionStorage.removeItem(KEY); tell("Your token has ended; sign in again.", true); signIn(); return; }
    main.dataset.page = "error";
    show(el("p", { class: "card empty" }, plain(error.message)));
  }
  if (me && page !== "sessions") timer = setTimeout(route, REFRESH_MS);
}

async function start() {
  me = await ask("/whoami");
  document.getElementById("nav").hidden = document.getElementById("me").hidden = false;
  document.getElementById("who").textContent = me.account.name;
  await route();
}

document.getElementById("leave").addEventListener("click", () => { clearTimeout(timer); sessionStorage.removeItem(KEY); tell(""); signIn(); });
addEventListener("hashchange", () => { if (me) { tell(""); route().then(() => main.focus()); } });
if (sessionStorage.getItem(KEY)) start().catch(() => { sessionStorage.removeItem(KEY); signIn(); }); else signIn();
