// An OpenID provider (npm oidc-provider, which is certified) for tests, on a loopback port of its own.
//
// Prints one line of JSON when it is ready: {"issuer": "http://127.0.0.1:..."}; ends when its standard input does.
// Below /control it can be told to misbehave:
//   POST /control/rotate   a new signing key takes the place of the old one
//   POST /control/jwks     {"status": 503}: answer so to requests for keys; {"status": 200}: as usual
//   POST /control/delay    {"ms": 200}: wait so long before every answer of the token endpoint
//   GET  /control/counts   how many requests each path has had; POST sets them to 0
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const API = 'https://api.example';
const state = { key: 0, provider: null, jwksStatus: 200, delay: 0, counts: {} };

function configuration() {
  state.key += 1;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: `key-${state.key}`, use: 'sig', alg: 'RS256' };
  return {
    jwks: { keys: [key] },
    cookies: { keys: ['only for tests'] },
    clients: [
      {
        client_id: 'ma:chine/1',
        client_secret: 's:e/c%r+e t',
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'poster',
        client_secret: 's:e/c%r+e t&=?',
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'device',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['openid', 'offline_access', 'things:read', 'things:write'],
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => [],
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'things:read things:write',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 3600, ClientCredentials: 3600, DeviceCode: 600, Grant: 3600, IdToken: 3600, Interaction: 600,
      RefreshToken: 3600, Session: 3600,
    },
  };
}

async function body(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return text ? JSON.parse(text) : {};
}

async function control(request, response, path) {
  const told = await body(request);
  if (path === '/control/rotate') {
    state.provider = new Provider(issuer, configuration()).callback();
  } else if (path === '/control/jwks') {
    state.jwksStatus = told.status;
  } else if (path === '/control/delay') {
    state.delay = told.ms;
  } else if (request.method === 'POST') {
    state.counts = {};
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(state.counts));
}

const server = createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  if (path.startsWith('/control/')) {
    await control(request, response, path);
    return;
  }
  state.counts[path] = (state.counts[path] ?? 0) + 1;
  if (path === '/jwks' && state.jwksStatus !== 200) {
    response.writeHead(state.jwksStatus).end();
    return;
  }
  if (path === '/token' && state.delay) await new Promise((done) => { setTimeout(done, state.delay); });
  state.provider(request, response);
});

let issuer;
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  state.provider = new Provider(issuer, configuration()).callback();
  process.stdout.write(`${JSON.stringify({ issuer, api: API })}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));
