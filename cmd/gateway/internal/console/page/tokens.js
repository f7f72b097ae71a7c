// What the tokens of a subject stand for that are not a bot's own words.
const prefixes = {
  _: 'without a payload', '=referral': 'came by a link or an ad', '=optin': 'opted in or out', '=identity': 'an id or number has changed',
  '=form': 'what a person filled in', '=json': 'JSON without a name', '=query': 'values without a name, such as a=1&b=2',
}
const ids = { '=id': 'any id', '=long': 'any long text' }

// decoded is the text of a token that has escapes; empty for a plain one.
function decoded(token) {
  try {
    const text = decodeURIComponent(token.replaceAll('=', '%'))
    return text === token || text.includes('@') ? '' : `“${text}”`
  } catch {
    return ''
  }
}

// meaning says it in words; empty if there is nothing to explain.
export function meaning(prefix, action = '_') {
  const first = prefixes[prefix] ?? ids[prefix] ?? decoded(prefix)
  const second = ids[action] ?? decoded(action)
  return second ? `${first || prefix} with ${second}` : first
}
