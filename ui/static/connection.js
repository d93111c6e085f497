// What the page does while its server is away: it says so in every place at once, asks again, and goes on where it was.
// A server that was started anew does not know this page any more. NiceGUI would load it again, and the photos in its
// memory would be gone; instead the server's new page is put in the place of the old one, in the same document.
{
  const LONGEST_WAIT_MS = 4000;
  const NOT_SHOWN_MS = 400; // a hiccup of the network is no news
  const pause = (milliseconds) => new Promise((next) => setTimeout(next, milliseconds));
  let socket;
  let leaving = false;
  let asking = false;

  Object.defineProperty(window, "socket", {
    configurable: true,
    get: () => socket,
    set(made) {
      socket = made;
      let met = false;
      made.on("connect", () => {
        met = true;
        made.io.reconnection(false); // from now on it is done here
        show(0);
      });
      for (const event of ["disconnect", "connect_error"]) made.on(event, () => met && made === socket && lost());
    },
  });
  window.addEventListener("pagehide", () => (leaving = true));
  window.addEventListener("pageshow", () => (leaving = false));

  async function lost() {
    if (leaving || asking) return;
    asking = true;
    const since = Date.now();
    for (let wait = NOT_SHOWN_MS; !leaving; wait = Math.min(LONGEST_WAIT_MS, 1.5 * wait)) {
      const known = await isKnown();
      if (known === true) {
        asking = false;
        socket.io.opts.query.next_message_id = window.nextMessageId;
        socket.connect();
        return;
      }
      if (known === false && (await replace())) return;
      show(since);
      await pause(wait);
    }
    asking = false;
  }

  // Whether the server still has this page; null if there is no answer.
  async function isKnown() {
    try {
      const answer = await fetch(`${window.path_prefix ?? ""}/ui/known/${window.clientId}`, { cache: "no-store" });
      return answer.ok ? (await answer.json()).known : null;
    } catch {
      return null;
    }
  }

  // Put the server's new page in the place of this one; false if it gives none yet. The modules of the page stay as they
  // are, and with them the photos, unless the server is of another build.
  async function replace() {
    const answer = await fetch(window.location.href, { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const script = [...page.querySelectorAll("script[type=module]")].find((each) => each.textContent.includes("createApp("));
    if (!script || build(page) !== build(document)) {
      window.location.reload();
      return true;
    }
    socket.removeAllListeners();
    socket.disconnect();
    app.unmount(); // NiceGUI's
    document.body.append(Object.assign(document.createElement("script"), { type: "module", textContent: script.textContent }));
    asking = false;
    window.dispatchEvent(new Event("dandelion-appliance"));
    return true;
  }

  const build = (page) => page.querySelector("meta[name=page-build]")?.content;

  // Every place that tells of the server follows this class; `since` is 0 if it is there.
  function show(since) {
    document.documentElement.classList.toggle("server-gone", since > 0);
    const words = document.querySelector(".app")?.dataset ?? {};
    const time = new Date(since).toLocaleTimeString(document.documentElement.lang, { hourCycle: "h23" });
    for (const place of document.querySelectorAll(".gone-words")) {
      place.textContent = since ? (words[place.dataset.words ?? "gone"] ?? "").replace("{since}", time) : "";
    }
  }
}
