// A real OpenID provider. A machine gets a token by its client's secret (RFC 6749 §4.4) for the
// resource that it names (RFC 8707). SIGUSR1 makes a new signing key and drops the old one.
// usage: node idp.mjs PORT SECRET
import { generateKeyPair, exportJWK } from 'jose';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

async function provider(kid) {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'ES256' };
  return new Provider(issuer, {
    clients: [{
      client_id: 'robot',
      client_secret: secret,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      id_token_signed_response_alg: 'ES256',
    }],
    scopes: ['openid', 'refunds:write'],
    jwks: { keys: [jwk] },
    cookies: { keys: [secret] },
    extraTokenClaims: () => ({ groups: ['engineering'] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          audience: resource,
          scope: 'refunds:write',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  }).callback();
}

let number = 1;
let answer = await provider(`key-${number}`);
process.on('SIGUSR1', async () => {
  number += 1;
  answer = await provider(`key-${number}`);
  console.log(`signs with key-${number}`);
});
process.on('SIGTERM', () => process.exit(0));
createServer((request, response) => answer(request, response)).listen(Number(port), '127.0.0.1');
