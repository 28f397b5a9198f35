// A JSON answer on node's own server: `node node_http.mjs PORT`.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  if (request.method === "GET" && request.url === "/hello") {
    const body = JSON.stringify({ message: "hello" });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  } else {
    response.writeHead(404).end();
  }
});

server.listen(Number(process.argv[2]), "127.0.0.1");
