import { describe, expect, it } from 'vitest'
import { defaultBroker, parseBrokerAddress, seenFrom } from '../../broker/client/address.ts'

describe('the address of a broker', () => {
  it.each([defaultBroker, 'tcp://broker.example:5001', 'tcp://[::1]:65535'])('may be %s', address =>
    expect(parseBrokerAddress(address)).toBe(address),
  )

  it.each([
    '',
    '127.0.0.1:5001',
    'http://127.0.0.1:5001',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://*:*',
    'tcp://a b:1',
    'tcp://::1:5001',
    'tcp://127.0.0.1:5001/',
    'tcp://127.0.0.1:5001\n',
  ])('may not be %j', address =>
    expect(() => parseBrokerAddress(address)).toThrow('allowed is tcp://host:port'),
  )
})

describe('an address that the broker has told', () => {
  it('is on the host where the broker was found', () => {
    expect(seenFrom('tcp://broker.example:5001', 'tcp://0.0.0.0:6001')).toBe('tcp://broker.example:6001')
    expect(seenFrom('tcp://broker.example:5001', 'tcp://*:6001')).toBe('tcp://broker.example:6001')
    expect(seenFrom('tcp://127.0.0.1:9001', 'tcp://10.0.0.5:6001')).toBe('tcp://127.0.0.1:6001')
    expect(seenFrom('tcp://[::1]:5001', 'tcp://[::]:6001')).toBe('tcp://[::1]:6001')
  })
})
