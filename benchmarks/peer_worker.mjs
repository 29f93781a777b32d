// Measures one verifier of Node.js, as peer_worker.py does one of Python: a task as JSON on stdin.

import { createPublicKey, createVerify } from "node:crypto";
import { readFileSync } from "node:fs";

const task = JSON.parse(readFileSync(0, "utf8"));

const peers = {
  async aws_jwt_verify() {
    const { CognitoJwtVerifier } = await import("aws-jwt-verify");
    const verifier = CognitoJwtVerifier.create({
      userPoolId: task.user_pool_id,
      tokenUse: "access",
      clientId: task.client_id,
    });
    verifier.cacheJwks(task.jwks);
    return (token) => verifier.verifySync(token);
  },
  fast_jwt_new: () => fastJwt(false),
  fast_jwt_seen: () => fastJwt(4096),
};

async function fastJwt(cache) {
  const { createVerifier } = await import("fast-jwt");
  const pem = publicKey().export({ type: "spki", format: "pem" });
  const verify = createVerifier({ key: pem, algorithms: ["RS256"], allowedIss: task.issuer, cache });
  return (token) => {
    const claims = verify(token);
    if (claims.token_use !== "access" || claims.client_id !== task.client_id) throw new Error("not for us");
    return claims;
  };
}

function publicKey() {
  return createPublicKey({ key: task.jwks.keys.find((key) => key.kid === task.kid), format: "jwk" });
}

function bareCheck() {
  const key = publicKey();
  const ready = new Map();
  for (const token of task.tokens) {
    const end = token.lastIndexOf(".");
    ready.set(token, [Buffer.from(token.slice(0, end)), Buffer.from(token.slice(end + 1), "base64url")]);
  }
  return (token) => {
    const [message, signature] = ready.get(token);
    if (!createVerify("RSA-SHA256").update(message).verify(key, signature)) throw new Error("bad signature");
  };
}

function username(verify, token) {
  try {
    return verify(token).username;
  } catch {
    return null;
  }
}

const cases = { peer: await peers[task.peer](), raw: bareCheck() };
const answers = { good: username(cases.peer, task.tokens[0]), forged: username(cases.peer, task.forged) };
const seconds = { peer: [], raw: [] };
let next = 0;

function round(name) {
  const start = process.cpuUsage();
  for (let n = 0; n < task.batch; n++) cases[name](task.tokens[next++ % task.tokens.length]);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

// Compiled after some thousands of calls.
for (let n = 0; n < 5000; n++) for (const verify of Object.values(cases)) verify(task.tokens[n % task.tokens.length]);
for (let number = 0; number < task.rounds; number++) {
  for (const name of number % 2 ? ["peer", "raw"] : ["raw", "peer"]) seconds[name].push(round(name));
}
const { version } = JSON.parse(readFileSync(`node_modules/${task.package}/package.json`, "utf8"));
console.log(JSON.stringify({ answers, seconds, version }));
