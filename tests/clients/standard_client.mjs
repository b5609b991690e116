// Discovers, signs in, verifies, refreshes, asks and revokes with oauth4webapi and jose, which know the standards and
// nothing of Roster.
//
// Arguments: the issuer, an e-mail address, a registered service's id. Its secret and the password come on standard
// input, a line each.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'

const [issuer, username, serviceId] = process.argv.slice(2)
const [password, serviceSecret] = readFileSync(0, 'utf8').trim().split('\n')
// On loopback there is no TLS.
const http = { [oauth.allowInsecureRequests]: true }

const issuerUrl = new URL(issuer)
const discovery = await oauth.discoveryRequest(issuerUrl, { algorithm: 'oauth2', ...http })
const server = await oauth.processDiscoveryResponse(issuerUrl, discovery)
for (const grant of ['refresh_token', 'password']) assert(server.grant_types_supported.includes(grant))

// A page has no secret.
const client = { client_id: 'a-page' }
const none = oauth.None()

const granted = await oauth.genericTokenEndpointRequest(
  server, client, none, 'password', new URLSearchParams({ username, password }), http)
const tokens = await oauth.processGenericTokenEndpointResponse(server, client, granted)
assert.equal(tokens.token_type, 'bearer')

const keys = createRemoteJWKSet(new URL(server.jwks_uri))
const verified = await jwtVerify(tokens.access_token, keys, {
  issuer: server.issuer, audience: issuer, typ: 'at+jwt', algorithms: ['ES256'],
})

const request = (token) => new Request(`${issuer}/users/me`, { headers: { authorization: `Bearer ${token}` } })
const claims = await oauth.validateJwtAccessToken(server, request(tokens.access_token), issuer, http)
assert.equal(claims.sub, verified.payload.sub)

const refresh = async (token) => {
  const answer = await oauth.refreshTokenGrantRequest(server, client, none, token, http)
  return oauth.processRefreshTokenResponse(server, client, answer)
}
const isInvalidGrant = (error) => error instanceof oauth.ResponseBodyError && error.error === 'invalid_grant'

// Two tabs at once.
const [one, two] = await Promise.all([refresh(tokens.refresh_token), refresh(tokens.refresh_token)])
assert.equal(one.refresh_token, two.refresh_token)
assert.notEqual(one.refresh_token, tokens.refresh_token)
const next = await refresh(one.refresh_token)
assert.equal((await fetch(request(next.access_token))).status, 200)

// Another service asks; the library percent-encodes what RFC 6749 §2.3.1 has encoded.
const service = { client_id: serviceId }
const introspect = async (secret, token) => {
  const answer = await oauth.introspectionRequest(server, service, oauth.ClientSecretBasic(secret), token, http)
  return oauth.processIntrospectionResponse(server, service, answer)
}
const active = await introspect(serviceSecret, next.access_token)
assert.equal(active.active, true)
assert.equal(active.sub, claims.sub)
await assert.rejects(introspect('wrong', next.access_token))

const revocation = await oauth.revocationRequest(server, client, none, next.refresh_token, http)
await oauth.processRevocationResponse(revocation)
assert.equal((await introspect(serviceSecret, next.access_token)).active, false)
assert.equal((await fetch(request(next.access_token))).status, 401)
await assert.rejects(refresh(next.refresh_token), isInvalidGrant)
await assert.rejects(refresh('garbage'), isInvalidGrant)

console.log(JSON.stringify({ sub: claims.sub }))
