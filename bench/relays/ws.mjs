// Node with the package `ws`: every trade of the provider goes to every client as a message of its own.
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";

const server = createServer();
const clients = new WebSocketServer({ server, perMessageDeflate: false });
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));

const provider = new WebSocket(process.argv[2], { perMessageDeflate: false });
provider.on("open", () => {
  provider.send('{"action":"auth","params":"key"}');
  provider.send('{"action":"subscribe","params":"T.*"}');
});
provider.on("message", (frame) => {
  for (const { ev, sym, p, s, t } of JSON.parse(frame)) {
    if (ev !== "T") continue;
    const event = JSON.stringify({ event: "tick_update", data: { symbol: sym, price: p, volume: s, timestamp: t } });
    for (const client of clients.clients) client.send(event);
  }
});
