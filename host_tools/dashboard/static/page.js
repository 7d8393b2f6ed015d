"use strict";
// The page of a local hub. Everything that comes from a device is shown as text (textContent), and asked for again
// every second while the page is seen: a stream would be one more thing to keep alive, and no sooner.

const $ = (id) => document.getElementById(id);
const EVERY_MS = 1000, PATIENCE_MS = 20_000, SLOWEST_MS = 5000;
const PAGE_DEVICES = 100;

// --- the hub ---

let token = null;

class Refused extends Error {}

function takeToken() {
  // #token=... as `fieldpost hub page` prints it; a place on the page may follow: #token=...#/device/ID
  const found = /^#token=([\w-]+)(#\/.*)?$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem("token", found[1]);
    history.replaceState(null, "", location.pathname + (found[2] ?? "#/"));
  }
  token = sessionStorage.getItem("token");
}

async function ask(method, path, body, patience = PATIENCE_MS) {
  const request = { method, headers: { Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit", redirect: "error" };
  if (body !== undefined) request.body = JSON.stringify(body);
  request.signal = AbortSignal.timeout(patience);
  const response = await fetch(`/admin/${path}`, request);
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (response.status === 401) {
    token = null;
    sessionStorage.removeItem("token");
    show();
  }
  if (!response.ok) throw new Refused(answer?.message ?? `the hub answered ${response.status}`);
  return answer;
}

const at = (...parts) => parts.map(encodeURIComponent).join("/");

// --- small things ---

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function badge(node, kind, text) {
  const wanted = `badge ${kind}`.trim();
  if (node.className !== wanted) node.className = wanted;
  say(node, text);
}

const count = (number) => number.toLocaleString("en");
const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

function ago(ms, now) {
  if (!ms) return "never";
  const s = Math.max(0, (now - ms) / 1000);
  if (s < 2) return "now";
  if (s < 120) return `${Math.floor(s)} s ago`;
  if (s < 7200) return `${Math.floor(s / 60)} min ago`;
  return s < 172_800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86_400)} days ago`;
}

function connectionBadge(node, device) {
  if (!device.is_enabled) badge(node, "bad", "disabled");
  else if (device.is_connected) badge(node, "good", "connected");
  else badge(node, "", "not connected");
}

function auditBadge(node, audit) {
  if (audit === null) badge(node, "", "no numbers");
  else if (audit.is_too_scattered) badge(node, "wait", "not judged");
  else if (audit.missing) badge(node, "bad", `${count(audit.missing)} missing`);
  else if (audit.unreadable) badge(node, "bad", `${count(audit.unreadable)} unreadable`);
  else badge(node, "good", "nothing missing");
}

// --- the list of devices ---

const COLUMNS = ["Device", "Connection", "Last seen", "Messages", "Commands waiting", "Dead letters", "Audit"];
const rows = new Map();
let start = 0;
let before = null;

function rowOf(id) {
  let row = rows.get(id);
  if (row) return row;
  const line = made("tr");
  line.setAttribute("role", "row");
  const cells = COLUMNS.map((name, index) => {
    const cell = made(index ? "td" : "th", index > 2 && index < 6 ? "number" : "");
    cell.setAttribute("role", index ? "cell" : "rowheader");
    cell.dataset.name = name;
    line.append(cell);
    return cell;
  });
  cells[0].scope = "row";
  const link = made("a", "", id);
  link.href = `#/device/${encodeURIComponent(id)}`;
  cells[0].append(link);
  row = { line, cells, connection: made("span"), audit: made("span") };
  cells[1].append(row.connection);
  cells[6].append(row.audit);
  rows.set(id, row);
  return row;
}

function rate(hub) {
  const last = before;
  before = { messages: hub.messages, ms: hub.now_ms };
  if (!last || hub.now_ms <= last.ms || hub.now_ms - last.ms > 10_000) return "";
  return `, ${count(Math.round(((hub.messages - last.messages) * 1000) / (hub.now_ms - last.ms)))} a second`;
}

function showDevices(answer) {
  const { hub, devices } = answer;
  say($("summary"), `${hub.hostname}: ${hub.connected} of ${counted(hub.devices, "device")} connected, ` +
    counted(hub.messages, "message") + rate(hub));
  const isReading = hub.read_to < hub.messages && hub.messages - hub.read_to > 500;
  $("reading").hidden = !isReading;
  if (isReading) say($("reading"), `Reading what is stored: ${count(hub.read_to)} of ${count(hub.messages)} messages so far.`);
  const body = $("devices").tBodies[0];
  const seen = new Set(devices.map((device) => device.id));
  for (const [id, row] of rows) {
    if (!seen.has(id)) {
      row.line.remove();
      rows.delete(id);
    }
  }
  devices.forEach((device, index) => {
    const row = rowOf(device.id);
    connectionBadge(row.connection, device);
    say(row.cells[2], ago(device.heard_ms, hub.now_ms));
    say(row.cells[3], count(device.messages));
    say(row.cells[4], count(device.waiting));
    say(row.cells[5], count(device.dead_letters));
    auditBadge(row.audit, device.audit);
    if (body.children[index] !== row.line) body.insertBefore(row.line, body.children[index] ?? null);
  });
  $("none").hidden = devices.length > 0;
  say($("none"), hub.devices ? "No device is called like that." :
    "There is no device yet: make one below, or with `fieldpost hub device create NAME`.");
  $("pages").hidden = answer.matching <= PAGE_DEVICES;
  say($("range"), `${count(answer.from + 1)} to ${count(answer.from + devices.length)} of ${count(answer.matching)}`);
  $("earlier").disabled = answer.from === 0;
  $("later").disabled = answer.from + devices.length >= answer.matching;
}

// --- one device ---

let shown = null; // what of the device is on the page already

function beginDevice(id) {
  shown = { id, newest: 0, twin: 0, charts: new Map(), messages: new Map() };
  say($("device-title"), id);
  for (const part of ["charts", "messages", "fates", "device-badges", "audit"]) $(part).replaceChildren();
  for (const part of ["desired", "reported", "desired-version", "reported-version", "sent", "answered", "patched", "device-facts"]) say($(part), "");
  for (const form of ["send", "method", "patch"]) $(form).reset();
  shown.connection = made("span");
  $("device-badges").append(shown.connection);
  shown.audit = { badge: made("span"), text: made("p"), note: made("p", "note") };
  $("audit").append(shown.audit.badge, shown.audit.text, shown.audit.note);
}

function showAudit(audit) {
  const card = shown.audit;
  $("audit").hidden = audit === null;
  if (audit === null) return;
  auditBadge(card.badge, audit);
  if (audit.is_too_scattered) {
    say(card.text, "Its numbers have too many gaps to be judged here: ask `fieldpost audit`.");
    return;
  }
  const parts = [`${count(audit.delivered_unique)} delivered`, `${count(audit.lost_reported)} reported lost`, `${count(audit.missing)} missing`];
  if (audit.duplicates) parts.push(counted(audit.duplicates, "repeat"));
  say(card.text, parts.join(" · "));
  say(card.note, audit.missing ? "What is missing here may still be on the device: `fieldpost audit` looks there, too."
    : "Every record number up to the highest is here or reported lost.");
}

function showFates(answer) {
  const lines = answer.ended.map(({ message_id: id, outcome }) => [id, outcome === "Success" ? "completed by the device" :
    { Expired: "expired: dead letter", DeliveryCountExceeded: "given up after too many deliveries: dead letter",
      Purged: "purged", Rejected: "rejected: dead letter" }[outcome] ?? outcome]);
  for (const one of answer.waiting) {
    lines.push([one.message_id, one.deliveries ? `delivered ${counted(one.deliveries, "time")}, not acknowledged yet` : "waits for the device"]);
  }
  const texts = lines.reverse().map(([id, text]) => `${id}: ${text}`);
  if (!texts.length) texts.push("None was sent since the hub started.");
  const list = $("fates");
  while (list.children.length > texts.length) list.lastChild.remove();
  while (list.children.length < texts.length) list.append(made("li"));
  texts.forEach((text, index) => say(list.children[index], text));
}

function showCharts(series) {
  for (const [name, points] of Object.entries(series)) {
    if (!points.length) continue;
    let chart = shown.charts.get(name);
    if (!chart) {
      chart = charts.make(name);
      shown.charts.set(name, chart);
      $("charts").append(chart.figure);
    }
    chart.update(points);
  }
}

function messageItem(message) {
  const item = made("li");
  const properties = Object.entries(message.properties).map(([key, value]) => (value === null ? key : `${key}=${value}`));
  const facts = [new Date(message.enqueued_at).toLocaleString(), `number ${message.sequence}`];
  if (message.message_id) facts.push(`id ${message.message_id}`);
  if (message.duplicate) facts.push("came again");
  if (message.system["content-type"]) facts.push(message.system["content-type"]);
  if (properties.length) facts.push(properties.join(", "));
  item.append(made("p", "note", facts.join(" · ")));
  const body = message.body_json ?? message.body ?? `base64: ${message.body_base64}`;
  const text = made("pre", "", body + (message.is_shortened ? " …" : ""));
  text.tabIndex = 0;
  text.setAttribute("aria-label", `Body of message ${message.sequence}`);
  item.append(text);
  return item;
}

function showMessages(messages) {
  const list = $("messages"), wanted = new Set(messages.map((message) => message.sequence));
  for (const [sequence, item] of shown.messages) {
    if (!wanted.has(sequence)) {
      item.remove();
      shown.messages.delete(sequence);
    }
  }
  for (const message of [...messages].reverse()) {
    if (!shown.messages.has(message.sequence)) {
      const item = messageItem(message);
      shown.messages.set(message.sequence, item);
      list.prepend(item);
    }
  }
}

function showDevice(answer) {
  const { device } = answer;
  connectionBadge(shown.connection, device);
  const since = device.since_ms ? `${device.is_connected ? "connected" : "gone"} since ${new Date(device.since_ms).toLocaleString()}, ` : "";
  say($("device-facts"), `${since}last seen ${ago(device.heard_ms, answer.now_ms)}, ${counted(device.messages, "message")}, ` +
    `${counted(device.waiting, "command")} waiting, ${counted(device.dead_letters, "dead letter")}`);
  say($("able"), device.is_enabled ? "Disable" : "Enable");
  $("disconnect").disabled = !device.is_connected;
  showAudit(device.audit);
  showFates(answer);
  if (answer.recent) {
    shown.newest = answer.newest;
    showCharts(answer.recent.series);
    showMessages(answer.recent.messages);
  }
  $("no-charts").hidden = shown.charts.size > 0;
  if (answer.twin) {
    shown.twin = answer.twin_version;
    for (const part of ["desired", "reported"]) {
      say($(part), JSON.stringify(answer.twin[part].values, null, 2));
      say($(`${part}-version`), `version ${answer.twin[part].version}`);
    }
  }
}

// --- going round ---

function place() {
  const found = /^#\/device\/(.+)$/.exec(location.hash);
  try {
    return found ? decodeURIComponent(found[1]) : null;
  } catch {
    return null;
  }
}

function show() {
  const id = place();
  $("entry").hidden = token !== null;
  $("overview").hidden = token === null || id !== null;
  $("device").hidden = token === null || id === null;
  if (token === null) say($("live"), "");
  else if (id === null) shown = null;
  else if (shown?.id !== id) beginDevice(id);
  document.title = id === null ? "fieldpost hub" : `${id} · fieldpost hub`;
}

let timer = null, pause = EVERY_MS, isAsking = false, isDueAgain = false;

// Asks once at a time: whoever wants more meanwhile is answered by one more question behind it.
async function refresh() {
  clearTimeout(timer);
  if (isAsking) {
    isDueAgain = true;
    return;
  }
  if (token === null || document.hidden) return;
  isAsking = true;
  const id = place();
  try {
    // The summary stands above both.
    const list = await ask("GET", `view/devices?from=${start}&find=${encodeURIComponent($("find").value)}`);
    const one = id === null ? null : await ask("GET", `view/${at("devices", id)}?after=${shown.newest}&twin=${shown.twin}`);
    showDevices(list);
    if (one && shown?.id === id) showDevice(one);
    say($("live"), "live");
    pause = EVERY_MS;
  } catch (error) {
    say($("live"), error instanceof Refused ? error.message : "the hub does not answer; trying again");
    pause = Math.min(SLOWEST_MS, pause * 1.5);
  }
  isAsking = false;
  if (isDueAgain) {
    isDueAgain = false;
    refresh();
  } else {
    timer = setTimeout(refresh, pause);
  }
}

function goTo() {
  if (/^#token=/.test(location.hash)) takeToken();
  show();
  $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
  refresh();
}

// Runs what a form or a button asks for, and says in `output` what came of it.
async function act(button, output, work) {
  button.disabled = true;
  output.className = "";
  say(output, "…");
  try {
    say(output, await work());
  } catch (error) {
    output.className = "bad";
    say(output, error instanceof Refused || error instanceof SyntaxError ? error.message : "the hub does not answer");
  }
  button.disabled = false;
  refresh();
}

function onSubmit(form, output, work) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act($(form).querySelector("button"), $(output), work);
  });
}

function propertiesOf(text) {
  const found = {};
  for (const line of text.split("\n").filter((one) => one.trim())) {
    const [name, ...value] = line.split("=");
    if (!value.length) throw new Refused(`"${line}" is to be name=value`);
    found[name.trim()] = value.join("=");
  }
  return found;
}

$("entry-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = $("token").value.trim().replace(/^.*#token=/, "");
  $("token").value = "";
  if (!given) return;
  sessionStorage.setItem("token", given);
  token = given;
  goTo();
});

onSubmit("send", "sent", async () => {
  const request = { body: $("send-body").value, properties: propertiesOf($("send-properties").value) };
  if ($("send-ttl").value) request.ttl_s = Number($("send-ttl").value);
  const answer = await ask("POST", at("devices", shown.id, "commands"), request);
  return `queued as ${answer.message_id}`;
});

onSubmit("method", "answered", async () => {
  const payload = $("method-payload").value.trim(), timeout_s = Number($("method-timeout").value) || 30;
  const request = { payload: payload ? JSON.parse(payload) : null, timeout_s };
  const answer = await ask("POST", at("devices", shown.id, "methods", $("method-name").value), request, (timeout_s + 10) * 1000);
  return `${answer.status} ${JSON.stringify(answer.payload, null, 2)}`;
});

onSubmit("patch", "patched", async () => {
  const desired = JSON.parse($("patch-text").value);
  const twin = await ask("PATCH", at("devices", shown.id, "twin"), { properties: { desired } });
  return `desired properties are at version ${twin.properties.desired.$version}`;
});

onSubmit("create", "created", async () => {
  const hub = await ask("GET", "hub");
  const device = await ask("PUT", at("devices", $("create-id").value), {});
  const key = device.authentication.symmetricKey.primaryKey;
  return `HostName=${hub.hostname};DeviceId=${device.deviceId};SharedAccessKey=${key}\nroot certificate: ${hub.ca_file}`;
});

$("disconnect").addEventListener("click", () =>
  act($("disconnect"), $("live"), async () => { await ask("POST", at("devices", shown.id, "disconnect")); return "disconnected"; }));
$("able").addEventListener("click", () => {
  const status = $("able").textContent === "Disable" ? "disabled" : "enabled";
  act($("able"), $("live"), async () => { await ask("PATCH", at("devices", shown.id), { status }); return status; });
});
$("find").addEventListener("input", () => { start = 0; refresh(); });
$("earlier").addEventListener("click", () => { start = Math.max(0, start - PAGE_DEVICES); refresh(); });
$("later").addEventListener("click", () => { start += PAGE_DEVICES; refresh(); });
addEventListener("hashchange", goTo);
document.addEventListener("visibilitychange", refresh);

takeToken();
show();
refresh();
