// What several parts of the page use. Text from outside is only ever set as textContent.

// el makes an element. Properties that are functions listen to the event of their name.
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value != null) element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child != null && child !== false))
  return element
}

export const byId = (id) => document.getElementById(id)

// request asks the API. The error's message is for the reader.
async function request(path, options) {
  let response
  try {
    response = await fetch(`api/${path}`, options)
  } catch {
    throw new Error('The gateway does not respond. Is it running?')
  }
  if (response.status === 401) location.reload() // the session has ended
  const body = await response.json().catch(() => ({ error: `the gateway answered ${response.status}` }))
  if (!response.ok) throw new Error(body.error)
  return body
}

export const get = (path) => request(path)

export const post = (path, action, body = {}) => request(path, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'X-Gateway-Action': action },
  body: JSON.stringify(body),
})

// state is what the URL says: view, q (the search), d (the open delivery) and letter (the
// open dead letter).
export const state = () => Object.fromEntries(new URLSearchParams(location.search))

// go changes the URL. With replace it makes no entry in the history.
export function go(changes, replace = false) {
  const next = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value)
    else next.delete(name)
  }
  const url = next.size ? `?${next}` : location.pathname
  history[replace ? 'replaceState' : 'pushState'](null, '', url)
  if (!replace) dispatchEvent(new Event('navigate'))
}

// link leads to another state of the page.
export function link(changes, ...text) {
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    go({ view: '', q: '', d: '', letter: '', ...changes })
  }
  return el('a', { href: `?${new URLSearchParams(changes)}`, click: follow }, ...text)
}

// json shows JSON with the names of members and the masked values set apart.
export function json(text) {
  const box = el('pre', { class: 'json', tabindex: '0' })
  let at = 0
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)) {
    const kind = match[2] ? 'name' : match[1].startsWith('"••••') || match[1] === '"(secret, never shown)"' ? 'masked' : 'string'
    box.append(text.slice(at, match.index), el('span', { class: kind }, match[1]))
    at = match.index + match[1].length
  }
  box.append(text.slice(at))
  return box
}

// say tells a screen reader, and shows it for a moment.
export function say(text) {
  const line = byId('say')
  line.textContent = text
  line.classList.add('shown')
  clearTimeout(say.timer)
  say.timer = setTimeout(() => line.classList.remove('shown'), 2500)
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' })

export const timeOfDay = (at) => clock.format(new Date(at))
export const fullTime = (at) => full.format(new Date(at))

export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - new Date(at)) / 1000))
  if (seconds < 2) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86400)} days ago`
}

export const milliseconds = (us) => `${us < 1000 ? (us / 1000).toFixed(2) : us < 10000 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`
export const count = (n) => n.toLocaleString('en')

// The outcomes with their sign, so that colour is never the only one.
const outcomes = {
  stored: ['✓', 'good'], duplicate: ['=', 'calm'], ignored: ['–', 'calm'], rejected: ['✗', 'bad'], failed: ['✗', 'bad'],
  refused: ['✗', 'bad'], unauthenticated: ['✗', 'bad'], handshake: ['✓', 'good'], not_a_delivery: ['✗', 'bad'],
}
const words = { unauthenticated: 'rejected', not_a_delivery: 'rejected', refused: 'rejected' }

export function badge(outcome, reason) {
  const [sign, tone] = reason && outcome === 'handshake' ? ['✗', 'bad'] : outcomes[outcome] ?? ['?', 'calm']
  return el('span', { class: `badge ${tone}` }, el('span', { 'aria-hidden': 'true' }, sign), ` ${words[outcome] ?? outcome}`)
}

// The reasons in words.
const reasons = {
  mismatch: 'wrong secret or another body', missing: 'no signature', malformed: 'malformed signature', sha1_only: 'signed with SHA-1 only',
  reencoded_body: 'the body was changed on the way', unknown_path: 'unknown path', method: 'not a POST', verify_token: 'wrong verify token',
  handshake_parameters: 'not a handshake', too_large: 'too large', media_type: 'not JSON by its Content-Type', incomplete: 'incomplete body',
  not_json: 'not JSON', malformed_item: 'malformed item', busy: 'too many at once', store: 'the store did not confirm', internal: 'internal error',
}
export const inWords = (reason) => reasons[reason] ?? reason
