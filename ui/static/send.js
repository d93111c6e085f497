// Send photos to the appliance through the reverse proxy; map every error to one of a few kinds.

const KINDS = { 400: "broken", 401: "key", 403: "site", 404: "unknown", 409: "unfit", 413: "too_large", 415: "not_photo", 422: "broken", 429: "limit", 507: "full" };

// `measured`: the photo is drawn, or a frame of the camera, and says nothing of what is photographed here.
export async function send(path, body, { type, signal, measured, method = "POST" } = {}) {
  let answer;
  try {
    answer = await fetch(new URL(`../api/${path}`, import.meta.url), {
      method,
      body,
      signal,
      headers: {
        ...(type === undefined ? {} : { "content-type": type || "application/octet-stream" }),
        ...(measured ? { "x-traffic": "measurement" } : {}),
      },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { problem: { kind: "away", retry: 5 } };
  }
  const fields = await answer.json().catch(() => ({}));
  if (answer.ok) return { data: fields };
  return { problem: problem(answer, fields) };
}

function problem(answer, { detail, code, values }) {
  const retry = Number(answer.headers.get("retry-after")) || 0;
  if (answer.status === 502 || answer.status === 504) return { kind: "away", retry: 5, detail };
  if (answer.status === 503) return { kind: retry ? "busy" : "unavailable", retry, detail };
  return { kind: KINDS[answer.status] || "fault", retry: 0, detail, code, values };
}

// The same with fields in JSON, and their answer; without fields the request has no body.
export function ask(method, path, fields) {
  const body = fields && JSON.stringify(fields);
  return send(path, body, { method, ...(body && { type: "application/json" }) });
}

// "{n} photos" with {n: 3} is "3 photos".
export function fill(text, values = {}) {
  return (text ?? "").replace(/\{(\w+)\}/g, (whole, name) => (name in values ? isolated(values[name]) : whole));
}

// What is written from right to left does not turn the sentence around it.
function isolated(value) {
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u.test(value) ? `\u2068${value}\u2069` : value;
}

export function size(bytes, language) {
  const mega = bytes / 2 ** 20;
  const format = (value, digits) => value.toLocaleString(language, { maximumFractionDigits: digits });
  return mega >= 1 ? `${format(mega, mega < 10 ? 1 : 0)} MiB` : `${format(Math.max(1, bytes / 1024), 0)} KiB`;
}

// "image/jpeg,image/webp,.webp" is "JPEG or WebP" in English.
export function formats(accept, language) {
  const types = accept.split(",").filter((type) => type.startsWith("image/"));
  const names = types.map((type) => type.replace("image/", "").toUpperCase().replace("WEBP", "WebP"));
  return new Intl.ListFormat(language, { type: "disjunction" }).format(names);
}
