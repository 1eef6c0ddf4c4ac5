// What the programs beside this file share: KafkaJS with every compression, input and output as JSON.
'use strict'

const fs = require('node:fs')
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const zstd = require('@bokuweb/zstd-wasm')

// KafkaJS brings gzip, and takes what others bring.
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
})

const [address, given] = process.argv.slice(2)

/** Runs a program on a client and the JSON that it was started with; what it returns is printed as JSON. */
exports.run = async (program) => {
  await zstd.init()
  const kafka = new Kafka({ brokers: [address], clientId: 'kafkajs', logLevel: logLevel.ERROR, retry: { retries: 3 } })
  try {
    const result = await program(kafka, JSON.parse(given))
    fs.writeSync(1, JSON.stringify(result))
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
}

exports.CompressionTypes = CompressionTypes
