// One delivery: what arrived, next to what it became.
import { badge, byId, el, fullTime, get, go, inWords, json, link, milliseconds, post, say, state } from './common.js'
import { copy, curl, nats, send } from './copy.js'
import { letter } from './letter.js'
import { receivers } from './receivers.js'
import { status } from './status.js'

let shown = '' // the delivery in the drawer

// forwarded says how far the existing bot is behind: the queue does not say more.
function forwarded(webhook) {
  const queue = (status()?.forwards ?? []).filter((f) => f.webhook.split('/')[0] === webhook)
  const waiting = queue.reduce((sum, f) => sum + f.pending, 0)
  return `to the existing bot of ${webhook}; ${waiting ? `${waiting} deliveries wait for it` : 'none waits for it'}`
}

function facts(d) {
  const rows = [
    ['Received', fullTime(d.at)], ['From', d.remote], ['Platform', d.platform], ['Account', d.account],
    ['Forwarded', d.forwarded ? forwarded(d.forwarded) : ''],
    ['Secret', d.secret ? `${d.secret} matches` : ''], ['Response', `${d.status} in ${milliseconds(d.us)}`],
  ].filter(([, value]) => value)
  return el('dl', { class: 'facts' }, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]))
}

function steps(d) {
  const known = d.steps ?? []
  const total = known.reduce((sum, step) => sum + step.us, 0)
  if (total === 0) return null
  const list = el('ol', { class: 'steps', 'aria-label': 'Time of each step' })
  for (const step of known) {
    const bar = el('meter', { min: 0, max: total, value: step.us, 'aria-label': step.name })
    list.append(el('li', {}, el('span', {}, step.name), bar, el('span', { class: 'took' }, milliseconds(step.us))))
  }
  return list
}

function delivery(d) {
  return el('section', { class: 'part', 'aria-label': 'Delivery' }, el('h3', {}, 'Delivery'), facts(d), steps(d),
    fold('Headers', el('dl', { class: 'facts' }, ...d.headers.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]))),
    d.body ? fold(`Body, ${d.size} bytes${d.cut ? ', the beginning' : ''}`, json(d.body)) : null,
    d.response ? fold('Response', json(d.response)) : null)
}

const fold = (title, content) => el('details', {}, el('summary', {}, title), content)

function item(d, event, number) {
  const kind = event.letter ? 'Dead letter' : 'Event'
  const title = d.events.length > 1 ? `${kind}, item ${number + 1} of ${d.events.length}` : kind
  return el('section', { class: 'part pair', 'aria-label': title }, el('h3', {}, `${title} `, badge(event.outcome)),
    ...(event.letter ? deadLetter(event.letter, number) : becameEvent(event, number)),
    el('p', { class: 'actions' },
      event.send ? button('Copy as gateway send', () => copy(send(event.send), 'gateway send')) : null,
      button('Copy as nats command', () => copy(nats(event.subject, status()), 'the nats command')),
      button('Copy JSON', () => copy(event.event, 'JSON'))))
}

function becameEvent(event, number) {
  return [
    el('p', { class: 'subject' }, el('code', {}, event.subject), button('Copy', () => copy(event.subject, 'the subject'))),
    el('div', { class: 'columns' },
      el('div', {}, el('h4', {}, "The platform's item"), json(event.item)),
      el('div', {}, el('h4', {}, 'The event'), json(event.event)),
      el('div', { class: 'received-by' }, el('h4', {}, 'Received by'), el('div', { 'data-receivers': number }, el('p', { class: 'hint' }, 'Asking the consumers')))),
  ]
}

// deadLetter is as in Fix, where it is repaired.
const deadLetter = (d, number) => [el('div', { class: 'letter' }, ...letter(d)), el('div', { 'data-receivers': number, 'data-letter': '' })]

const repair = (found) => (found.letter ? el('p', {}, link({ view: 'fix', letter: found.letter }, 'Open in Fix'), ' to parse it again when the cause is repaired')
  : el('p', { class: 'hint' }, found.note))

const button = (text, click) => el('button', { type: 'button', click }, text)

function why(d) {
  if (!d.reason) return null
  return el('div', { class: 'callout' }, el('p', {}, el('strong', {}, `Rejected: ${inWords(d.reason)}`)),
    el('p', {}, d.advice), d.detail ? el('p', { class: 'advice' }, d.detail) : null)
}

function reveal(d) {
  if (d.revealed) return el('span', { class: 'hint' }, 'Personal data is shown; the log says so.')
  return button('Reveal personal data', () => post(`deliveries/${d.seq}/reveal`, 'reveal').then(draw, (error) => say(error.message)))
}

function draw(d) {
  const drawer = byId('drawer')
  const head = el('div', { class: 'drawer-head' },
    el('h2', { id: 'drawer-title' }, badge(d.outcome, d.reason), ' ', el('bdi', {}, d.text)), el('span', { class: 'grow' }),
    reveal(d), d.method === 'POST' && d.body ? button('Copy as curl', () => copy(curl(d, new URL(status().callbacks[0].path).origin), 'curl')) : null,
    el('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', click: () => go({ d: '' }) }, '✕'))
  const events = d.events ?? []
  const nothing = events.length === 0 && !d.reason ? el('p', { class: 'part hint' }, d.outcome === 'handshake'
    ? 'Meta has verified the callback URL.' : 'There is no click in this delivery: messages, reads and the like are not stored.') : null
  drawer.replaceChildren(head, el('div', { class: 'drawer-body' }, why(d), delivery(d),
    el('div', { class: 'pairs' }, ...events.map((event, number) => item(d, event, number)), nothing,
      d.more > 0 && events.length ? el('p', { class: 'hint part' }, `${d.more} further items are not shown here.`) : null)))
  drawer.hidden = false
  if (events.length > 0) showReceivers(d.seq)
}

// showReceivers fills in what has to be asked for.
async function showReceivers(seq) {
  let all = []
  let problem = ''
  try {
    all = await get(`deliveries/${seq}/receivers`)
  } catch (error) {
    problem = error.message
  }
  if (String(seq) !== shown) return
  for (const box of byId('drawer').querySelectorAll('[data-receivers]')) {
    const found = all[Number(box.dataset.receivers)]
    box.replaceChildren(found ? 'letter' in box.dataset ? repair(found) : receivers(found) : el('p', { class: 'hint' }, problem || 'Not known.'))
  }
}

// navigate opens the delivery in the URL, or closes the drawer.
export async function navigate() {
  const seq = state().d ?? ''
  if (seq === shown) return
  const before = shown
  shown = seq
  document.body.classList.toggle('with-drawer', seq !== '')
  if (!seq) {
    byId('drawer').hidden = true
    document.querySelector(`.row[data-seq="${CSS.escape(before)}"]`)?.focus()
    return
  }
  try {
    const d = await get(`deliveries/${encodeURIComponent(seq)}`)
    if (seq !== shown) return
    draw(d)
    byId('drawer').focus() // so that Tab goes on in it, and not through all rows
  } catch (error) {
    byId('drawer').replaceChildren(el('div', { class: 'drawer-head' }, el('h2', {}, error.message), el('span', { class: 'grow' }),
      el('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', click: () => go({ d: '' }) }, '✕')))
    byId('drawer').hidden = false
  }
}
