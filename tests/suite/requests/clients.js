// Asks over a pool of connections that are kept: prints the version that answered each request.
//
// Arguments: URL, and for each request a cohort (`-` is none).

const http = require("http");
const [url, ...cohorts] = process.argv.slice(1);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const local = new Set();

function ask(cohort) {
  const headers = cohort === "-" ? {} : { "x-istio-cohort": cohort };
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, headers }, (response) => {
      local.add(request.socket.localPort);
      let body = "";
      response.on("data", (piece) => (body += piece));
      response.on("end", () => resolve(JSON.parse(body).version));
    });
    request.on("error", reject);
  });
}

Promise.all(cohorts.map(ask)).then((versions) => {
  console.log(versions.join("\n"));
  console.log(`${local.size} connections`);
  agent.destroy();
});
