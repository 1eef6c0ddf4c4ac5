// Reads as a member of a group: {topic, group, count, from}. Returns so many messages at least, each of them once they
// were committed. With `from`, {partition: offset}, it seeks to these offsets first.
'use strict'

const { run } = require('./client')

const text = (buffer) => (buffer === null ? null : buffer.toString())

run(async (kafka, { topic, group, count, from = {} }) => {
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: 6000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 200,
  })
  const found = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          if (found.length >= count) return
          const headers = Object.entries(message.headers || {}).map(([name, value]) => [name, text(value)])
          const { offset, timestamp, key, value } = message
          found.push({ partition, offset: Number(offset), timestamp: Number(timestamp), key: text(key), value: text(value), headers })
          await consumer.commitOffsets([{ topic, partition, offset: String(Number(offset) + 1) }])
          if (found.length === count) resolve()
        },
      })
      .catch(reject)
    for (const [partition, offset] of Object.entries(from)) {
      consumer.seek({ topic, partition: Number(partition), offset: String(offset) })
    }
  })
  await consumer.disconnect()
  return found
})
