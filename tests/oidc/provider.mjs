// A certified OpenID provider with people out of a file that the tests rewrite: node provider.mjs <settings.json>.
//
// settings: port, client {id, secret, redirect}, people (a path), claimsInIdToken (false: only from the userinfo endpoint),
// authentication (how clients may prove themselves), signing (the algorithm of ID tokens), kids (its keys, which it makes and
// keeps in the folder `keys`; the first one signs).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${settings.port}`;

const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function key(kid) {
  const file = `${settings.keys}/${kid}.json`;
  if (!existsSync(file)) {
    const made = generateKeyPairSync(...kinds[settings.signing]).privateKey.export({ format: 'jwk' });
    writeFileSync(file, JSON.stringify({ ...made, alg: settings.signing, use: 'sig', kid }));
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

const provider = new Provider(issuer, {
  clients: [{
    client_id: settings.client.id,
    client_secret: settings.client.secret,
    redirect_uris: settings.client.redirects,
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: settings.authentication,
    id_token_signed_response_alg: settings.signing,
  }],
  clientAuthMethods: [settings.authentication],
  enabledJWA: { idTokenSigningAlgValues: [settings.signing] },
  jwks: { keys: settings.kids.map(key) },
  cookies: { keys: ['only for tests'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: !settings.claimsInIdToken,
  pkce: { required: () => true },
  findAccount: (_, id) => {
    const person = JSON.parse(readFileSync(settings.people, 'utf8'))[id];
    return person && { accountId: id, claims: () => ({ sub: id, ...person }) };
  },
});

createServer(provider.callback()).listen(settings.port, '127.0.0.1', () => process.stdout.write('listening\n'));
