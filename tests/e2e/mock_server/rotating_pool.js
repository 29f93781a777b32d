// A user pool whose keys change on demand: oauth2-mock-server signs and publishes, this gives it Cognito's looks.
// Prints its issuer once it listens, and ends with its standard input.
//
//   GET  <issuer>/.well-known/jwks.json   the published keys
//   GET  /jwks-requests                   how often they were asked for
//   POST /access-token                    a token under the newest key
//   POST /add-key                         a new key, published beside the others
//   POST /withdraw-old-keys               the newest key alone stays published

import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

const [, , userPoolId, clientId] = process.argv;
const jwksPath = `/${userPoolId}/.well-known/jwks.json`;
let url, newest, service;
let jwksRequests = 0;

// Its store never forgets a key, so each published set has a store of its own.
async function publish(keys) {
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  for (const key of keys) await issuer.keys.add(key);
  service = new OAuth2Service(issuer, { jwks: jwksPath });
}

async function addKey() {
  newest = (await service.issuer.keys.generate('RS256', { kid: randomBytes(32).toString('base64') })).kid;
}

async function withdrawOldKeys() {
  await publish(service.issuer.keys.toJSON(true).filter((key) => key.kid === newest));
}

function accessToken() {
  const shape = (header, payload) => {
    header.typ = undefined;
    delete payload.nbf;
    Object.assign(payload, {
      sub: randomUUID(),
      username: 'jane',
      client_id: clientId,
      token_use: 'access',
      scope: 'aws.cognito.signin.user.admin',
      auth_time: payload.iat,
      jti: randomUUID(),
    });
  };
  return service.issuer.buildToken({ kid: newest, scopesOrTransform: shape });
}

const controls = {
  'GET /jwks-requests': () => jwksRequests,
  'POST /access-token': accessToken,
  'POST /add-key': addKey,
  'POST /withdraw-old-keys': withdrawOldKeys,
};

const server = createServer(async (request, response) => {
  const control = controls[`${request.method} ${request.url}`];
  if (control) return response.end(JSON.stringify((await control()) ?? null));
  if (request.url === jwksPath) jwksRequests += 1;
  return service.requestHandler(request, response);
});

server.listen(0, '127.0.0.1', async () => {
  url = `http://127.0.0.1:${server.address().port}/${userPoolId}`;
  await publish([]);
  await addKey();
  console.log(url);
});
process.stdin.on('end', () => process.exit()).resume();
