// The chat and the echo as crossws's guide writes them: `node crossws_hooks.mjs chat|echo IDLE_TIMEOUT PORT`.
import { serve } from "crossws/server";

const [kind, idleTimeout, port] = process.argv.slice(2);

const chat = {
  open(peer) {
    peer.subscribe("room");
    peer.send("ready");
  },
  message(peer, message) {
    peer.publish("room", message.text());
  },
};

const echo = {
  open(peer) {
    peer.send("ready");
  },
  message(peer, message) {
    peer.send(message.text());
  },
};

serve({
  hostname: "127.0.0.1",
  port: Number(port),
  silent: true,
  websocket: {
    ...(kind === "chat" ? chat : echo),
    options: { node: { idleTimeout: Number(idleTimeout) } },
  },
  fetch: () => new Response("This is a socket.", { status: 426 }),
});
