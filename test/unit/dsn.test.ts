import { describe, expect, it } from 'vitest'
import { endpointAddress, isLoopback, parseDsn, socketTypes } from '../../broker/listeners/dsn.ts'

const endpointsOf = (text: string) => parseDsn(`zmq-bind://PUB@${text}`, {}).endpoints

describe('a data source name', () => {
  it('binds as zmq-bind and connects as zmq', () => {
    expect(parseDsn('zmq-bind://PULL@127.0.0.1:5000', {})).toEqual({
      mode: 'bind',
      type: 'PULL',
      endpoints: [{ host: '127.0.0.1', port: 5000 }],
    })
    expect(parseDsn('zmq://SUB@broker.example:6000', {})).toEqual({
      mode: 'connect',
      type: 'SUB',
      endpoints: [{ host: 'broker.example', port: 6000 }],
    })
  })

  it.each([...socketTypes])('names the type %s, in capitals only', type => {
    expect(parseDsn(`zmq://${type}@a:1`, {}).type).toBe(type)
    expect(() => parseDsn(`zmq://${type.toLowerCase()}@a:1`, {})).toThrow('TYPE one of')
  })

  it('names several endpoints, split by ";" and trimmed', () => {
    expect(endpointsOf('127.0.0.1:5000; 10.0.0.1:5001 ;*:6000')).toEqual([
      { host: '127.0.0.1', port: 5000 },
      { host: '10.0.0.1', port: 5001 },
      { host: '*', port: 6000 },
    ])
  })

  it('lets the system choose the port', () => {
    expect(endpointsOf('127.0.0.1:*')).toEqual([{ host: '127.0.0.1', port: 0 }])
    expect(endpointsOf('127.0.0.1:0')).toEqual([{ host: '127.0.0.1', port: 0 }])
  })

  it('names IPv6 addresses in brackets', () => {
    expect(endpointsOf('[::1]:5000')).toEqual([{ host: '::1', port: 5000 }])
  })

  it('is read from an environment variable', () => {
    const env = { INGEST: 'zmq-bind://PULL@*:5000', LOOP: 'env://INGEST', EMPTY: '' }
    expect(parseDsn('env://INGEST', env).endpoints).toEqual([{ host: '*', port: 5000 }])
    expect(() => parseDsn('env://MISSING', env)).toThrow('the environment variable MISSING is not set')
    expect(() => parseDsn('env://', env)).toThrow('the environment variable (no name) is not set')
    expect(() => parseDsn('env://LOOP', env)).toThrow('the environment variable LOOP names another one')
    expect(() => parseDsn('env://EMPTY', env)).toThrow('allowed is')
  })

  it.each([
    '',
    'tcp://127.0.0.1:5000',
    'zmq-bind://127.0.0.1:5000',
    'zmq-bind://PULL@',
    'zmq-bind://PAIR@127.0.0.1:1',
    'zmq-bind:/PULL@127.0.0.1:1',
    ' zmq-bind://PULL@127.0.0.1:1',
    'ZMQ-BIND://PULL@127.0.0.1:1',
  ])('is not %j', text => expect(() => parseDsn(text, {})).toThrow('allowed is zmq-bind://TYPE@host:port'))

  it.each([
    '127.0.0.1',
    '127.0.0.1:',
    ':5000',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '127.0.0.1:5e3',
    '127.0.0.1:5000;',
    ';127.0.0.1:5000',
    'tcp://127.0.0.1:5000',
    '::1:5000',
    'a b:5000',
    'a:5000\nb:1',
    'user@a:5000',
  ])('has no endpoint %j', endpoint => {
    expect(() => endpointsOf(endpoint)).toThrow(/is not host:port/)
  })
})

describe('an endpoint', () => {
  it('has an address in the form of libzmq', () => {
    expect(endpointAddress({ host: '127.0.0.1', port: 5000 })).toBe('tcp://127.0.0.1:5000')
    expect(endpointAddress({ host: '*', port: 0 })).toBe('tcp://*:*')
    expect(endpointAddress({ host: '::1', port: 1 })).toBe('tcp://[::1]:1')
  })

  it('is for this machine alone only at a loopback address', () => {
    const reachable = (host: string) => isLoopback({ host, port: 1 })
    expect(['127.0.0.1', '127.8.9.10', 'localhost', '::1'].every(reachable)).toBe(true)
    expect(
      ['*', '0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.evil.example', 'example'].some(reachable),
    ).toBe(false)
  })
})
