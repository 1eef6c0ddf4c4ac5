// Sends messages: {topic, acks, idempotent, batches: [{compression, messages}]}. Returns what each batch was answered.
'use strict'

const { CompressionTypes, run } = require('./client')

run(async (kafka, { topic, acks = -1, idempotent = false, batches }) => {
  const producer = kafka.producer({ idempotent })
  await producer.connect()
  const answers = []
  for (const { compression, messages } of batches) {
    answers.push(await producer.send({ topic, acks, compression: CompressionTypes[compression], messages }))
  }
  await producer.disconnect()
  return answers
})
