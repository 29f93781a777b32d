// Sign in as an application in JavaScript does, call the guarded API, refresh, and call it again.
// Reads what to do from standard input, and prints the tokens and what the API answered.

import { readFileSync } from 'node:fs';

const { library, flow, endpoint, userPoolId, clientId, username, password, api } = JSON.parse(readFileSync(0, 'utf8'));

async function callApi(token) {
  const response = await fetch(`${api}/me`, { headers: { Authorization: `Bearer ${token}` } });
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.json() };
}

async function identityJs() {
  const { AuthenticationDetails, CognitoUser, CognitoUserPool } = (await import('amazon-cognito-identity-js')).default;
  const user = new CognitoUser({
    Username: username,
    Pool: new CognitoUserPool({ UserPoolId: userPoolId, ClientId: clientId, endpoint }),
  });
  user.setAuthenticationFlowType(flow);
  const tokens = (session) => ({
    access: session.getAccessToken().getJwtToken(),
    id: session.getIdToken().getJwtToken(),
    refresh: session.getRefreshToken().getToken(),
  });
  const session = await new Promise((onSuccess, onFailure) => {
    const details = new AuthenticationDetails({ Username: username, Password: password });
    user.authenticateUser(details, { onSuccess, onFailure });
  });
  const refresh = () =>
    new Promise((resolve, reject) => {
      user.refreshSession(session.getRefreshToken(), (error, renewed) => (error ? reject(error) : resolve(tokens(renewed))));
    });
  return { signedIn: tokens(session), refresh };
}

async function amplify() {
  const { Amplify } = await import('aws-amplify');
  const { fetchAuthSession, signIn } = await import('aws-amplify/auth');
  Amplify.configure({
    Auth: { Cognito: { userPoolId, userPoolClientId: clientId, userPoolEndpoint: endpoint, loginWith: { username: true } } },
  });
  // Amplify keeps the refresh token to itself.
  const tokens = ({ tokens: { accessToken, idToken } }) => ({ access: accessToken.toString(), id: idToken.toString() });
  await signIn({ username, password, options: { authFlowType: flow } });
  const signedIn = tokens(await fetchAuthSession());
  return { signedIn, refresh: async () => tokens(await fetchAuthSession({ forceRefresh: true })) };
}

async function main() {
  const session = await { 'identity-js': identityJs, amplify }[library]();
  const refreshed = await session.refresh();
  return {
    signedIn: session.signedIn,
    refreshed,
    seen: await callApi(session.signedIn.access),
    seenAgain: await callApi(refreshed.access),
    refused: await callApi(session.signedIn.id),
  };
}

main().then(
  (done) => console.log(JSON.stringify(done)),
  (error) => console.log(JSON.stringify({ failed: error.name, message: error.message })),
);
