// A JSON route and event streams as h3's guide writes them: `node h3_app.mjs PORT`.
import { H3, createEventStream, serve } from "h3";

const app = new H3();
const streams = new Set();

app.get("/hello", () => ({ message: "hello" }));

app.get("/events", (event) => {
  const stream = createEventStream(event);
  streams.add(stream);
  stream.onClosed(() => streams.delete(stream));
  stream.push("ready");
  return stream.send();
});

app.post("/publish", async (event) => {
  const text = await event.req.text();
  await Promise.all([...streams].map((stream) => stream.push(text)));
  return { published: true };
});

serve(app, { hostname: "127.0.0.1", port: Number(process.argv[2]), silent: true });
