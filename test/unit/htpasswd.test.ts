import { describe, expect, it } from 'vitest'
import { HtpasswdError, parseHtpasswd } from '../../broker/auth/htpasswd.ts'
import { isPassword } from '../../broker/auth/password.ts'

/** The password `secret`, as htpasswd and `openssl passwd -apr1` write it. */
const lines = {
  bcrypt: 'amy:$2y$05$WmR/zF/Qj6ABAY.I4ATyfeArToY9nuB7tIVIXQL.ITVhZsOip900W',
  apr1: 'bob:$apr1$v07ls1hi$/ybN8VPwQGqlW0AKggz4Y/',
  sha: 'eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
}

describe('an htpasswd file', () => {
  it('has a user in each line, in bcrypt, $apr1$ or {SHA}', () => {
    const users = parseHtpasswd(`# those of the office\n${lines.bcrypt}\r\n\n  ${lines.apr1}\n${lines.sha}`)
    expect([...users.values()].map(({ name, scheme }) => [name, scheme])).toEqual([
      ['amy', 'bcrypt'],
      ['bob', 'apr1'],
      ['eve', 'sha'],
    ])
  })

  it('may be empty', () => expect(parseHtpasswd('').size).toBe(0))

  it('means the first of two lines with one name', () => {
    expect(parseHtpasswd(`${lines.apr1}\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=`).get('bob')?.scheme).toBe(
      'apr1',
    )
  })

  it.each([
    ['amy', 'line 2 is not name:hash'],
    [':{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=', 'line 2 is not name:hash'],
    ['amy:hunter2', 'line 2 is in no known form: allowed are bcrypt (htpasswd -B), $apr1$ and {SHA}'],
    ['amy:$1$abc$qnB0M5bUl1vW3sTe7oPz4/', 'line 2 is in no known form'],
    ['amy:rqXexS6ZhobKA', 'line 2 is in no known form'],
    ['amy:$2y$17$WmR/zF/Qj6ABAY.I4ATyfeArToY9nuB7tIVIXQL.ITVhZsOip900W', 'the cost of line 2 is 17'],
    ['amy:{SHA}short', 'line 2 is in no known form'],
  ])('is refused with the number of its line, and without what is in it: %s', (line, message) => {
    const parse = () => parseHtpasswd(`${lines.bcrypt}\n${line}`)
    expect(parse).toThrow(HtpasswdError)
    expect(parse).toThrow(message)
    expect(parse).not.toThrow(/hunter2|rqXexS/)
  })
})

describe('a password', () => {
  const userOf = (line: string) => {
    const [user] = parseHtpasswd(line).values()
    if (!user) throw new Error('there is no user')
    return user
  }

  it.each([
    ['bcrypt', lines.bcrypt, 'secret'],
    ['$apr1$', lines.apr1, 'secret'],
    ['{SHA}', lines.sha, 'secret'],
    ['$apr1$ beyond ASCII', 'x:$apr1$abc$.kub6C9IpUJdLZraWLyC4.', 'pässwörd'],
    ['$apr1$ of the original', 'admin:$apr1$v07ls1hi$OayaxtrCFIHIzuhpaSL9/0', undefined],
  ])('is right or wrong in %s', (_, line, password) => {
    if (password !== undefined) expect(isPassword(password, userOf(line))).toBe(true)
    for (const wrong of ['', 'Secret', `${password} `, 'passwörd']) {
      expect(isPassword(wrong, userOf(line))).toBe(false)
    }
  })
})
