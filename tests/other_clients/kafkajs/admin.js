// Calls methods of the admin client in turn: [[method, argument...], ...]. Returns what each of them has returned, or
// {error: name} where it was refused.
'use strict'

const { run } = require('./client')

run(async (kafka, calls) => {
  const admin = kafka.admin()
  await admin.connect()
  const results = []
  for (const [method, ...given] of calls) {
    try {
      const result = await admin[method](...given)
      results.push(result === undefined ? null : result)
    } catch (error) {
      results.push({ error: error.type || error.name })
    }
  }
  await admin.disconnect()
  return results
})
