// Asks over one connection of HTTP/2, all at once: prints the version that answered each request.
//
// Arguments: URL, and for each request a cohort (`-` is none).

const http2 = require("http2");
const [url, ...cohorts] = process.argv.slice(1);
const { origin, pathname } = new URL(url);
const session = http2.connect(origin);

function ask(cohort) {
  const headers = { ":path": pathname };
  if (cohort !== "-") headers["x-istio-cohort"] = cohort;
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    let body = "";
    stream.setEncoding("utf8");
    stream.on("data", (piece) => (body += piece));
    stream.on("end", () => resolve(JSON.parse(body).version));
    stream.on("error", reject);
  });
}

Promise.all(cohorts.map(ask)).then((versions) => {
  console.log(versions.join("\n"));
  session.close();
});
