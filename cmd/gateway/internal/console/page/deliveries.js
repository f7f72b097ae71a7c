// The list of deliveries. It belongs to the reader: it follows what is new only while it is
// at its top, and nobody selects text or has a delivery open.
import { badge, byId, count, el, fullTime, get, go, inWords, milliseconds, state, timeOfDay } from './common.js'
import { matcher, operators, unknown } from './search.js'
import { onStatus, refresh, status } from './status.js'

const most = 1000 // as many as the gateway keeps

let all = [] // the latest first
let waiting = [] // what has arrived while the list stands still
let matches = () => true
let live = true
let info = { first: 0, missed: 0, since: '' }

const scroller = () => byId('scroller')

function mayMove() {
  return live && scroller().scrollTop < 8 && !state().d && document.getSelection().isCollapsed && !byId('rows').contains(document.activeElement)
}

// isOld reports whether a delivery is of a gateway that was restarted since.
const isOld = (delivery) => delivery.seq < info.first

function row(delivery) {
  const more = delivery.items > 1 ? el('span', { class: 'more' }, `+${delivery.items - 1}`) : null
  const other = delivery.others > 0 ? el('span', { class: 'tag', title: 'An item that is not a click' }, 'other') : null
  const forwarded = delivery.forwarded ? el('span', { class: 'tag', title: `Forwarded to the existing bot of ${delivery.forwarded}` }, '→ bot') : null
  const last = delivery.reason ? el('span', { class: 'why' }, `${delivery.status} ${inWords(delivery.reason)}`) : el('span', { class: 'took' }, milliseconds(delivery.us))
  const cells = [
    el('time', { datetime: delivery.at, title: fullTime(delivery.at) }, timeOfDay(delivery.at)),
    el('span', { class: 'platform' }, delivery.platform || '–'),
    el('bdi', { class: 'account' }, delivery.account || '–'),
    el('span', { class: 'text' }, el('bdi', {}, delivery.text), more, other, forwarded),
    badge(delivery.outcome, delivery.reason), last]
  if (isOld(delivery)) return el('li', {}, el('div', { class: 'row old' }, ...cells))
  return el('li', {}, el('a', { class: 'row', href: `?d=${delivery.seq}`, 'data-seq': delivery.seq, click: openRow }, ...cells))
}

// gap says which deliveries are missing below a row. older is what follows there.
function gap(older) {
  let text = 'Nobody looked for a while: deliveries of that time are not listed.'
  if (!older) text = 'The list begins here. It is kept only while somebody looks, and not over a restart: earlier deliveries are not listed.'
  else if (isOld(older)) text = 'The gateway was restarted. The deliveries below cannot be opened any more, and a search for a person does not find them.'
  return el('li', { class: 'gap' }, text)
}

// lines are the first n deliveries, as far as they match, with what is missing between them.
function lines(n) {
  const shown = []
  for (const [at, delivery] of all.slice(0, n).entries()) {
    if (matches(delivery)) shown.push(row(delivery))
    if (delivery.gap && shown.at(-1)?.className === '') shown.push(gap(all[at + 1]))
  }
  return shown
}

function openRow(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return
  event.preventDefault()
  go({ d: event.currentTarget.dataset.seq })
}

function draw() {
  byId('rows').replaceChildren(...lines(all.length))
  mark()
  drawAround()
}

// mark shows which delivery is open.
export function mark() {
  const open = state().d
  for (const link of byId('rows').querySelectorAll('.row')) {
    if (link.dataset.seq === open) {
      link.setAttribute('aria-current', 'true')
      link.scrollIntoView({ block: 'nearest' })
    } else link.removeAttribute('aria-current')
  }
}

function drawAround() {
  const news = waiting.filter(matches).length
  const button = byId('new')
  button.hidden = news === 0
  button.textContent = `${count(news)} new ↑`
  const note = byId('note')
  note.hidden = info.missed === 0
  note.textContent = `Too many deliveries to list them all: this is a sample, ${count(info.missed)} are not listed. All of them are stored and counted.`
  drawEmpty()
}

function drawEmpty() {
  const empty = byId('empty')
  const isEmpty = byId('rows').childElementCount === 0
  if (!isEmpty || empty.hidden) empty.hidden = !isEmpty
  if (!isEmpty) return
  if (all.length > 0) {
    const wrong = unknown(state().q ?? '').map((name) => `${name}:`)
    empty.replaceChildren(el('h2', {}, 'No delivery matches'),
      el('p', {}, `${count(all.length)} others are in the list. `, wrong.length ? `${wrong.join(' and ')} is not an operator of the search, so it was searched as text. ` : '', 'The search finds words, and has these operators:'),
      el('ul', { class: 'operators' }, ...Object.entries(operators).map(([name, [example, finds]]) => el('li', {}, el('code', {}, `${name}:${example}`), ` ${finds}`))),
      el('button', { click: () => setQuery('') }, 'Clear the search'))
  } else if (status() && info.since && !empty.childElementCount) { // from now on nothing is missed
    empty.replaceChildren(...lesson(status()))
  }
}

// lesson is what a reader needs who has no delivery yet.
function lesson(s) {
  const urls = s.callbacks.flatMap((callback) => [
    el('dt', {}, callback.platform === 'meta' ? 'Callback URL for Messenger, Instagram and WhatsApp' : 'URL for setWebhook'),
    el('dd', {}, el('code', {}, callback.path))])
  return [
    el('h2', {}, 'Waiting for deliveries'),
    el('p', {}, 'Deliveries appear here as they arrive, rejected ones with the reason and what to do. The list is kept only while this page is open.'),
    el('p', {}, el('button', { class: 'primary', click: () => go({ view: 'try' }) }, 'Try: send a click'), ' or in a terminal: ', el('code', {}, 'gateway send --payload plan:enterprise')),
    el('dl', { class: 'lesson' }, ...urls,
      el('dt', {}, 'Verify token'), el('dd', {}, 'the value in ', el('code', {}, s.verifyToken))),
    el('p', { class: 'advice' }, 'A platform needs a public HTTPS address: put it before the path of the URL.'),
  ]
}

function receive(message) {
  const isRestarted = message.first !== info.first && all.length > 0
  info = message
  if (isRestarted) draw()
  if (message.rows.length === 0) return drawAround()
  const rows = message.rows.toReversed()
  waiting = [...rows, ...waiting].slice(0, most)
  if (!mayMove() && !waiting.some(isOpen)) return drawAround()
  const n = waiting.length
  takeWaiting()
  const list = byId('rows')
  list.prepend(...lines(n))
  while (list.childElementCount > most) list.lastElementChild.remove()
  mark()
  drawAround()
  if (rows.some((delivery) => delivery.reason)) refresh()
}

const isOpen = (delivery) => String(delivery.seq) === state().d

function takeWaiting() {
  all = [...waiting, ...all].slice(0, most)
  waiting = []
}

// catchUp shows what has arrived in the meantime.
export function catchUp() {
  takeWaiting()
  if (byId('rows').contains(document.activeElement)) document.activeElement.blur()
  scroller().scrollTop = 0
  draw()
}

export function setQuery(query) {
  byId('q').value = query
  go({ q: query }, true)
  apply()
}

async function apply() {
  const query = state().q ?? ''
  byId('rejected').setAttribute('aria-pressed', String(/\boutcome:rejected\b/.test(query)))
  try {
    matches = await matcher(query)
  } catch {
    return // the strip says that the gateway does not respond
  }
  if (query !== (state().q ?? '')) return
  if (live) takeWaiting() // another search makes another list
  draw()
}

// move focuses the next or previous row.
export function move(step) {
  const rows = [...byId('rows').querySelectorAll('a.row')]
  const at = rows.findIndex((link) => link === document.activeElement || (!byId('rows').contains(document.activeElement) && link.dataset.seq === state().d))
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))]
  if (!next) return
  next.focus()
  if (state().d) go({ d: next.dataset.seq })
}

function toggleLive() {
  live = !live
  byId('pause').setAttribute('aria-pressed', String(live))
  byId('pause').lastChild.textContent = live ? 'Live' : 'Paused'
  if (live) catchUp()
}

function toggleRejected() {
  const query = (state().q ?? '').replace(/\s*\boutcome:rejected\b/, '').trim()
  const on = byId('rejected').getAttribute('aria-pressed') === 'true'
  setQuery(on ? query : `${query} outcome:rejected`.trim())
}

export function navigate() {
  if (byId('q').value !== (state().q ?? '')) {
    byId('q').value = state().q ?? ''
    apply()
  } else if (waiting.some(isOpen)) {
    takeWaiting()
    draw()
  }
  mark()
}

export function start() {
  byId('q').value = state().q ?? ''
  byId('q').addEventListener('input', () => setQuery(byId('q').value))
  byId('rejected').addEventListener('click', toggleRejected)
  byId('pause').addEventListener('click', toggleLive)
  byId('new').addEventListener('click', catchUp)
  onStatus(drawAround)
  apply()
  document.addEventListener('visibilitychange', follow)
  setInterval(() => document.hidden && keep(), keepInterval)
  follow()
}

// A browser has six connections to a server, for all its tabs. So a page holds one only
// while somebody sees it; meanwhile it asks the gateway now and then to keep deliveries.
const keepInterval = 30_000
let connection = null

const keep = () => get('deliveries/keep').catch(() => {}) // the strip says that the gateway does not respond

function follow() {
  if (document.hidden) {
    keep().then(() => {
      if (!document.hidden) return
      connection?.close()
      connection = null
    })
    return
  }
  if (connection) return
  const last = waiting[0] ?? all[0]
  connection = new EventSource(`api/deliveries/live?after=${last?.seq ?? 0}`)
  connection.addEventListener('message', (event) => receive(JSON.parse(event.data)))
}
