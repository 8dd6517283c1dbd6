// uWebSockets under bun: every trade of the provider is published on a topic that every client subscribes to.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("a WebSocket, please", { status: 426 })),
  websocket: { open: (socket) => socket.subscribe("ticks"), message() {}, perMessageDeflate: false },
});
console.log(`127.0.0.1:${server.port}`);

const provider = new WebSocket(process.argv[2]);
provider.onopen = () => {
  provider.send('{"action":"auth","params":"key"}');
  provider.send('{"action":"subscribe","params":"T.*"}');
};
provider.onmessage = ({ data }) => {
  for (const { ev, sym, p, s, t } of JSON.parse(data)) {
    if (ev !== "T") continue;
    const event = { event: "tick_update", data: { symbol: sym, price: p, volume: s, timestamp: t } };
    server.publish("ticks", JSON.stringify(event));
  }
};
