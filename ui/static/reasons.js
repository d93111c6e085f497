// Why a photo is refused, in the visitor's language: the appliance's own reason, by its code, or as it says it.

import { fill, formats, size } from "./send.js";

const OURS = ["key", "limit", "site", "busy", "away"]; // of which the page knows more than the appliance

// `photo` has `bytes`; `accept` are the media types that the appliance takes.
export function reason({ kind, detail, code, values }, { t, language, accept, bytes }) {
  const given = { ...localised(values, t, language), detail, size: size(bytes, language), formats: formats(accept, language) };
  if (code && t[`reason_${code}`]) return fill(t[`reason_${code}`], given);
  if (OURS.includes(kind) || !detail || kind === "fault") return fill(t[`refused_${kind}`] ?? t.refused_fault, given);
  return fill(t.refused_said, { detail: detail[0].toLocaleUpperCase(language) + detail.slice(1) });
}

export function title({ kind, code, values }, { t, language }) {
  return fill(t[`title_${code}`] ?? t[`title_${kind}`] ?? t.title_fault, localised(values, t, language));
}

function localised(values, t, language) {
  const said = (value) =>
    typeof value === "number"
      ? value.toLocaleString(language, { maximumFractionDigits: 1 })
      : (t[`kind_${value.toLowerCase().replaceAll(" ", "_")}`] ?? value);
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, said(value)]));
}
