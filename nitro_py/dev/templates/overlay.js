(() => {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.hostname}:__PORT__` + __PATH__);
  let opened = false;
  const again = () =>
    fetch(location.href, { method: "HEAD", cache: "no-store" })
      .then(() => location.reload(), () => setTimeout(again, 1000));
  __ERROR_SCRIPT__
  // What this page itself shows, if it is the page of an error.
  const shown = document.querySelector("meta[name=nitropy-error]")?.content;
  const overlay = { host: null, errors: [], at: 0, before: null };
  const close = () => {
    overlay.host?.remove();
    overlay.before?.focus?.();
    Object.assign(overlay, { host: null, errors: [], before: null });
  };
  const make = () => {
    overlay.before = document.activeElement;
    overlay.host = document.createElement("nitropy-error");
    const root = overlay.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(":host { all: initial; }" + __STYLE__);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = `<div class="nitropy overlay"><div class="panel" role="dialog" aria-modal="true"
      aria-label="Error" tabindex="-1"><div class="bar"><span></span>
      <button type="button" class="previous" aria-label="Previous error">\u2039</button>
      <button type="button" class="next" aria-label="Next error">\u203a</button>
      <button type="button" class="close" aria-label="Close" title="Close (Esc)">\u2715</button></div>
      <main class="report"></main></div></div>`;
    root.querySelector(".overlay").addEventListener("click", (event) => {
      if (event.target === event.currentTarget) close();
    });
    root.querySelector(".close").addEventListener("click", close);
    root.querySelector(".previous").addEventListener("click", () => draw(overlay.at - 1));
    root.querySelector(".next").addEventListener("click", () => draw(overlay.at + 1));
    document.documentElement.append(overlay.host);
  };
  const draw = (at) => {
    const root = overlay.host.shadowRoot;
    const count = overlay.errors.length;
    overlay.at = at;
    root.querySelector(".bar span").textContent = count > 1 ? `${at + 1} of ${count}` : "";
    for (const [name, hidden] of [[".previous", at === 0], [".next", at === count - 1]]) {
      root.querySelector(name).disabled = hidden;
      root.querySelector(name).hidden = count < 2;
    }
    // The dev server has escaped every value in it.
    root.querySelector(".report").innerHTML = overlay.errors[at].html;
    wireReport(root);
  };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && overlay.host) close();
  });
  const show = (error) => {
    console.error("[nitropy] " + error.message);
    if (!overlay.host) make();
    // A build's error is what matters now.
    if (error.type === "error") overlay.errors = [];
    overlay.errors.push(error);
    if (overlay.errors.length > 20) overlay.errors.shift();
    // Whoever reads an error is not taken to the next one.
    const reading = overlay.errors.length > 1;
    draw(reading ? Math.min(overlay.at, overlay.errors.length - 1) : 0);
    if (!reading) overlay.host.shadowRoot.querySelector(".panel").focus({ preventScroll: true });
  };
  socket.onopen = () => { opened = true; };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "reload") location.reload();
    else if (message.late && message.at < performance.timeOrigin) return;
    else if (message.type === "failure" || !shown) show(message);
    else if (message.id !== shown) location.reload();
  };
  socket.onclose = () => { if (opened) setTimeout(again, 300); };
})();
