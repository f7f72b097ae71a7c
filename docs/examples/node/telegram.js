// Stands in for Telegram: shows what a bot sends there, and accepts it.
import { createServer } from "node:http";

createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  console.log(request.url.split("/").pop(), body);
  response.end('{"ok":true,"result":true}');
}).listen(8443, "127.0.0.1", () => console.log("ready"));
