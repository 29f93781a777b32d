// Judges tokens by aws-jwt-verify.  The first line on stdin is the configuration, each further one a token and the
// time at which it is presented; each line on stdout is a verdict.

import { createInterface } from "node:readline";
import { CognitoJwtVerifier } from "aws-jwt-verify";

const COMPARED = ["iss", "sub", "client_id", "username", "exp", "scope", "cognito:groups"];
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
let verifier;

for await (const line of lines) {
  const message = JSON.parse(line);
  if (verifier === undefined) {
    const { jwks, ...properties } = message;
    verifier = CognitoJwtVerifier.create(properties);
    verifier.cacheJwks(jwks);
    continue;
  }
  Date.now = () => message.now * 1000;
  console.log(JSON.stringify(verdictOn(message.token)));
}

function verdictOn(token) {
  try {
    // The synchronous way never fetches keys.
    const claims = verifier.verifySync(token);
    return { claims: Object.fromEntries(COMPARED.map((name) => [name, claims[name] ?? null])) };
  } catch (error) {
    return { refused: error.constructor.name };
  }
}
