// Deploys a folder as the platform's own client does (1.57): everything one after the other, with node:crypto and
// fetch alone. Nothing is read of that client; this is our own script of what it sends.
//
//     node deploy.mjs API_BASE PROJECT_ID ANON_KEY WALLET_KEY FOLDER
//
// Prints one line of JSON: seconds, CPU seconds, peak memory in MiB, and how many events there were.

import { createECDH, createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const [apiBase, project, anonKey, walletKey, folder] = process.argv.slice(2)

// ---------------------------------------------------------------- Keccak-256, which node:crypto does not have

const ROUNDS = []
const [SHIFTS, PLACES] = [[], []]
{
  let [x, y] = [1, 0]
  for (let t = 0; t < 24; t++) {
    SHIFTS.push((((t + 1) * (t + 2)) / 2) % 64)
    ;[x, y] = [y, (2 * x + 3 * y) % 5]
    PLACES.push(x + 5 * y)
  }
  let r = 1
  for (let t = 0; t < 24; t++) {
    const constant = [0, 0]
    for (let j = 0; j < 7; j++) {
      if (r & 1) {
        const at = 2 ** j - 1
        constant[at >> 5] |= 1 << (at & 31)
      }
      r = ((r << 1) ^ ((r >> 7) * 0x171)) & 0xff
    }
    ROUNDS.push(constant)
  }
}
const [LOW, HIGH, C_LOW, C_HIGH] = [25, 25, 5, 5].map((size) => new Int32Array(size))

function permute() {
  for (let t = 0; t < 24; t++) {
    for (let x = 0; x < 5; x++) {
      C_LOW[x] = LOW[x] ^ LOW[x + 5] ^ LOW[x + 10] ^ LOW[x + 15] ^ LOW[x + 20]
      C_HIGH[x] = HIGH[x] ^ HIGH[x + 5] ^ HIGH[x + 10] ^ HIGH[x + 15] ^ HIGH[x + 20]
    }
    for (let x = 0; x < 5; x++) {
      const [next, former] = [(x + 1) % 5, (x + 4) % 5]
      const low = C_LOW[former] ^ ((C_LOW[next] << 1) | (C_HIGH[next] >>> 31))
      const high = C_HIGH[former] ^ ((C_HIGH[next] << 1) | (C_LOW[next] >>> 31))
      for (let y = 0; y < 25; y += 5) {
        LOW[x + y] ^= low
        HIGH[x + y] ^= high
      }
    }
    let [low, high] = [LOW[1], HIGH[1]]
    for (let i = 0; i < 24; i++) {
      const place = PLACES[i]
      const shift = SHIFTS[i]
      const [keptLow, keptHigh] = [LOW[place], HIGH[place]]
      const [a, b] = shift < 32 ? [low, high] : [high, low]
      const by = shift & 31
      LOW[place] = by ? (a << by) | (b >>> (32 - by)) : a
      HIGH[place] = by ? (b << by) | (a >>> (32 - by)) : b
      low = keptLow
      high = keptHigh
    }
    for (let y = 0; y < 25; y += 5) {
      const [l0, l1, h0, h1] = [LOW[y], LOW[y + 1], HIGH[y], HIGH[y + 1]]
      for (let x = 0; x < 5; x++) {
        const [nl, nh] = [x === 4 ? l0 : LOW[y + x + 1], x === 4 ? h0 : HIGH[y + x + 1]]
        const [ol, oh] = [x === 3 ? l0 : x === 4 ? l1 : LOW[y + x + 2], x === 3 ? h0 : x === 4 ? h1 : HIGH[y + x + 2]]
        LOW[y + x] ^= ~nl & ol
        HIGH[y + x] ^= ~nh & oh
      }
    }
    LOW[0] ^= ROUNDS[t][0]
    HIGH[0] ^= ROUNDS[t][1]
  }
}

function keccak256(data) {
  const rate = 136
  const padded = Buffer.alloc((Math.floor(data.length / rate) + 1) * rate)
  data.copy(padded)
  padded[data.length] ^= 0x01
  padded[padded.length - 1] ^= 0x80
  LOW.fill(0)
  HIGH.fill(0)
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < 17; i++) {
      LOW[i] ^= padded.readInt32LE(at + 8 * i)
      HIGH[i] ^= padded.readInt32LE(at + 8 * i + 4)
    }
    permute()
  }
  const out = Buffer.alloc(32)
  for (let i = 0; i < 4; i++) {
    out.writeInt32LE(LOW[i], 8 * i)
    out.writeInt32LE(HIGH[i], 8 * i + 4)
  }
  return out
}

// ---------------------------------------------------------------- the wallet: SIGN-IN-WITH-X of every call

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const SECRET = BigInt(walletKey)
const number = (bytes) => BigInt(`0x${bytes.toString('hex')}`)
const modulo = (value) => ((value % ORDER) + ORDER) % ORDER
const hex32 = (value) => value.toString(16).padStart(64, '0')

function inverse(value) {
  let [a, b, x, y] = [modulo(value), ORDER, 1n, 0n]
  while (a > 1n) {
    const quotient = b / a
    ;[a, b, x, y] = [b - quotient * a, a, y - quotient * x, x]
  }
  return modulo(x)
}

function point(secret) {
  const curve = createECDH('secp256k1')
  curve.setPrivateKey(Buffer.from(hex32(secret), 'hex'))
  return curve.getPublicKey()
}

function sign(digest) {
  const k = modulo(number(randomBytes(32)))
  const at = point(k)
  const r = modulo(number(at.subarray(1, 33)))
  let s = modulo(inverse(k) * (number(digest) + r * SECRET))
  let odd = at[64] & 1
  if (s > ORDER / 2n) {
    s = ORDER - s
    odd ^= 1
  }
  return `0x${hex32(r)}${hex32(s)}${(27 + odd).toString(16)}`
}

function checksummed(raw) {
  const plain = raw.toString('hex')
  const hash = keccak256(Buffer.from(plain)).toString('hex')
  return `0x${[...plain].map((one, at) => (parseInt(hash[at], 16) > 7 ? one.toUpperCase() : one)).join('')}`
}

const ADDRESS = checksummed(keccak256(point(SECRET).subarray(1)).subarray(12))

function signedIn(path) {
  const now = Date.now()
  const payload = {
    domain: new URL(apiBase).hostname,
    address: ADDRESS,
    statement: 'Sign in to Run402',
    uri: apiBase + path,
    version: '1',
    chainId: 'eip155:84532',
    type: 'eip191',
    nonce: randomBytes(16).toString('hex'),
    issuedAt: new Date(now).toISOString(),
    expirationTime: new Date(now + 300_000).toISOString(),
  }
  const text = Buffer.from(
    `${payload.domain} wants you to sign in with your Ethereum account:\n${ADDRESS}\n\n${payload.statement}\n\n` +
      `URI: ${payload.uri}\nVersion: 1\nChain ID: 84532\nNonce: ${payload.nonce}\n` +
      `Issued At: ${payload.issuedAt}\nExpiration Time: ${payload.expirationTime}`,
  )
  payload.signature = sign(
    keccak256(Buffer.concat([Buffer.from(`\x19Ethereum Signed Message:\n${text.length}`), text])),
  )
  return { 'SIGN-IN-WITH-X': Buffer.from(JSON.stringify(payload)).toString('base64') }
}

// ---------------------------------------------------------------- the deploy

async function call(path, body, headers = {}) {
  const response = await fetch(apiBase + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json', ...headers, ...signedIn(path) },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
  return JSON.parse(text)
}

async function* filesOf(below, name = '') {
  for (const entry of await readdir(join(below, name), { withFileTypes: true })) {
    const path = name ? `${name}/${entry.name}` : entry.name
    if (entry.isDirectory()) yield* filesOf(below, path)
    else if (entry.isFile()) yield path
  }
}

async function put(part, content, checksum) {
  const response = await fetch(part.url, {
    method: 'PUT',
    headers: { 'x-amz-checksum-sha256': checksum },
    body: content.subarray(part.byte_start, part.byte_end + 1),
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`PUT: ${response.status}`)
}

const started = performance.now()
let events = 0
const asked = { apikey: anonKey }
const replace = {}
const sources = new Map()
for await (const path of filesOf(folder)) {
  const content = await readFile(join(folder, path))
  const sha256 = createHash('sha256').update(content).digest('hex')
  replace[path] = { sha256, size: content.length, contentType: 'text/html; charset=utf-8' }
  sources.set(sha256, path)
}
const plan = await call('/deploy/v2/plans', { spec: { project, site: { replace } } })
events += 2
const wanted = plan.missing_content.filter((entry) => !entry.present)
events += plan.missing_content.length - wanted.length
if (wanted.length) {
  const uploads = await call(
    '/content/v1/plans',
    {
      content: wanted.map(({ sha256, size }) => ({ sha256, size, content_type: 'text/html; charset=utf-8' })),
    },
    asked,
  )
  for (const upload of uploads.missing) {
    const content = await readFile(join(folder, sources.get(upload.sha256)))
    for (const part of upload.parts) await put(part, content, Buffer.from(upload.sha256, 'hex').toString('base64'))
    await call(`/storage/v1/uploads/${upload.upload_id}/complete`, {}, asked)
    events += 1
  }
  await call(`/content/v1/plans/${uploads.plan_id}/commit`, {}, asked)
}
let state = await call(`/deploy/v2/plans/${plan.plan_id}/commit`, {})
events += 1
while (state.status !== 'ready') {
  if (['failed', 'rolled_back', 'needs_repair'].includes(state.status)) throw new Error(JSON.stringify(state.error))
  await new Promise((done) => setTimeout(done, 1000))
  state = await call(`/deploy/v2/operations/${plan.operation_id}`, undefined, asked)
}
events += 1
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
console.log(
  JSON.stringify({
    seconds: (performance.now() - started) / 1000,
    cpu: (userCPUTime + systemCPUTime) / 1e6,
    peak_mib: maxRSS / 1024,
    events,
  }),
)
