// The search box: words and operators, all of which have to match.
import { post } from './common.js'

// operators have an example of a value, and say what they find.
export const operators = {
  platform: ['telegram', 'of a platform'], account: ['shop_bot', 'of a page, account, number or bot'], prefix: ['plan', 'a prefix of a payload'],
  outcome: ['rejected', 'not accepted; or stored, duplicate, ignored, handshake'], person: ['1254459154682919', 'of one person'],
}

const isOperator = (name) => Object.hasOwn(operators, name.toLowerCase())

// parse splits a search into terms. An unknown operator is a word like any other: a payload
// like plan:pro has a colon too.
export function parse(query) {
  const terms = []
  for (const part of query.trim().split(/\s+/).filter(Boolean)) {
    const [name, ...rest] = part.split(':')
    if (isOperator(name) && rest.length) {
      if (rest.join(':')) terms.push({ name: name.toLowerCase(), value: rest.join(':') })
    } else {
      terms.push({ name: '', value: part.toLowerCase() })
    }
  }
  return terms
}

// unknown returns what looks like an operator and is not one.
export const unknown = (query) => query.split(/\s+/).map((part) => part.match(/^[a-z]+(?=:)/i)?.[0] ?? '')
  .filter((name) => name && !isOperator(name))

const matchers = {
  '': (row, value) => [row.text, row.platform, row.account, row.outcome, row.reason, String(row.status), row.others ? 'other' : '', row.forwarded ? 'forwarded' : ''].some((text) => text.toLowerCase().includes(value)),
  platform: (row, value) => row.platform === value.toLowerCase(),
  account: (row, value) => row.account.split(',').includes(value),
  prefix: (row, value) => (row.prefixes ?? []).includes(value),
  outcome: (row, value) => row.outcome === value.toLowerCase() || (value.toLowerCase() === 'rejected' && row.reason !== ''),
  person: (row, value, pseudonym) => (row.persons ?? []).some((person) => person === pseudonym || person === value.replace(/^•+/, '')),
}

// matcher returns what decides whether a row is listed. A person is known to the page only
// by the pseudonym that the gateway gives.
export async function matcher(query) {
  const terms = await Promise.all(parse(query).map(async (term) => {
    if (term.name !== 'person') return term
    return { ...term, pseudonym: (await post('person', 'search', { id: term.value })).pseudonym }
  }))
  return (row) => terms.every((term) => matchers[term.name](row, term.value, term.pseudonym))
}
