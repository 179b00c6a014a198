// Postgres on a loopback port. Each request is a list of steps in a schema of its own; the answer tells the rows of
// the last as drivers of Node give them: int8 and numeric as text, times and dates as moments.
import { createServer } from 'node:http'

import { PGlite, types } from '@electric-sql/pglite'

const text = (value) => value
const moment = (value) => new Date(value.length === 10 ? `${value}T00:00:00Z` : `${value.replace(' ', 'T')}Z`)
const database = await PGlite.create({
  parsers: { [types.INT8]: text, [types.NUMERIC]: text, [types.TIMESTAMP]: moment, [types.DATE]: moment },
})
await database.exec("set timezone = 'UTC'")
const names = new Map()
for (const { oid, typname } of (await database.query('select oid::int, typname from pg_type')).rows) names.set(oid, typname)

async function run(steps) {
  await database.exec('drop schema public cascade; create schema public')
  let last
  for (const { sql, params } of steps) {
    last = params?.length ? await database.query(sql, params) : (await database.exec(sql)).at(-1)
  }
  const fields = last?.fields ?? []
  return {
    rows: last?.rows ?? [],
    fields: fields.map(({ name, dataTypeID }) => ({ name, type: names.get(dataTypeID) ?? 'other' })),
    count: fields.length ? last.rows.length : (last?.affectedRows ?? null),
  }
}

let turn = Promise.resolve()
const server = createServer((request, response) => {
  let body = ''
  request.on('data', (piece) => (body += piece))
  request.on('end', () => {
    turn = turn.then(async () => {
      let told
      try {
        told = await run(JSON.parse(body))
      } catch (error) {
        await database.exec('rollback')
        told = { error: error.message, code: error.code ?? null }
      }
      response.end(JSON.stringify(told))
    })
  })
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/` })))
process.stdin.on('end', () => process.exit()).resume()
