// Export the results as CSV and JSON files, in the browser.

const COLUMNS = ["name", "bytes", "label", "confidence", "uncertain", "correction", "model", "version", "decode_ms", "infer_ms", "total_ms", "at", "refused"];

function row(item) {
  return {
    name: item.name,
    bytes: item.bytes,
    label: item.label ?? null,
    confidence: item.confidence ?? null,
    uncertain: item.uncertain ?? null,
    correction: item.correction || null,
    model: item.model ?? null,
    version: item.version ?? null,
    decode_ms: item.timings?.decode ?? null,
    infer_ms: item.timings?.infer ?? null,
    total_ms: item.timings?.total ?? null,
    at: item.at ?? null,
    refused: item.problem?.kind ?? null,
  };
}

export function csv(items) {
  const lines = items.map(row).map((fields) => COLUMNS.map((column) => cell(fields[column])).join(","));
  return [COLUMNS.join(","), ...lines].join("\r\n") + "\r\n";
}

export function json(items) {
  return JSON.stringify(items.map((item) => ({ ...row(item), probabilities: item.probabilities ?? null })), null, 2) + "\n";
}

function cell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet would run it
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
