// The camera: what stands in its way, in words, and single frames as JPEG.

const QUALITY = 0.85;

let canvas;

// Why there is no camera to start, in the texts `t` of the page Live; empty if there is one.
export async function obstacle(t) {
  if (!navigator.mediaDevices?.getUserMedia) return t.insecure;
  const allowed = await navigator.permissions?.query({ name: "camera" }).catch(() => null);
  if (allowed?.state === "denied") return t.forbidden;
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.some((device) => device.kind === "videoinput") ? "" : t.no_camera;
}

// A stream and how many cameras there are, or why there is none.
export async function open(facing, t) {
  if (!navigator.mediaDevices?.getUserMedia) return { trouble: t.insecure };
  try {
    const video = { facingMode: facing, width: { ideal: 1280 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    const devices = await navigator.mediaDevices.enumerateDevices();
    return { stream, cameras: devices.filter((device) => device.kind === "videoinput").length };
  } catch (error) {
    return { trouble: error.name === "NotAllowedError" ? t.forbidden : error.name === "NotReadableError" ? t.taken : t.no_camera };
  }
}

export function close(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

// What a <video> shows, at most `longest` px on its longer side; null as long as it shows nothing.
export function grab(video, longest, quality = QUALITY) {
  if (!video?.videoWidth) return null;
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  canvas ??= document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
}
