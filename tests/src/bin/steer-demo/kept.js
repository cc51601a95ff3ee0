// Asks a web server who it is: prints the version that answered each request.
//
// Arguments: URL, how many times, `pool` (HTTP/1.1 over a pool of four connections that are kept) or
// `http2` (over one connection).

const [url, count, manner] = process.argv.slice(1);
const { origin, pathname } = new URL(url);

function text(stream, resolve, reject) {
  let body = "";
  stream.setEncoding("utf8");
  stream.on("data", (piece) => (body += piece));
  stream.on("end", () => resolve(JSON.parse(body).version));
  stream.on("error", reject);
}

function pool() {
  const http = require("http");
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const ask = () =>
    new Promise((resolve, reject) => {
      const request = http.get(url, { agent }, (answer) => text(answer, resolve, reject));
      request.on("error", reject);
    });
  return { ask, end: () => agent.destroy() };
}

function http2() {
  const session = require("http2").connect(origin);
  const ask = () =>
    new Promise((resolve, reject) => text(session.request({ ":path": pathname }), resolve, reject));
  return { ask, end: () => session.close() };
}

const { ask, end } = manner === "http2" ? http2() : pool();
Promise.all(Array.from({ length: Number(count) }, ask)).then((versions) => {
  console.log(versions.join("\n"));
  end();
});
