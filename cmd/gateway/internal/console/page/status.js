// The strip at the top: problems first, each with what to do; else one quiet line.
import { ago, byId, count, el, fullTime, get, go, inWords } from './common.js'

const interval = 5000
const shownAccounts = 4

let current = null
const listeners = []

// status returns what the gateway said last, or null.
export const status = () => current

export const onStatus = (listener) => listeners.push(listener)

const time = (at) => el('time', { datetime: at, title: fullTime(at) }, ago(at))

function problem(text, advice, ...more) {
  return el('li', { class: 'problem' }, el('span', { class: 'sign', 'aria-hidden': 'true' }, '✗'),
    el('div', {}, el('p', {}, el('strong', {}, text), ...more), advice ? el('p', { class: 'advice' }, advice) : null))
}

function rejections(all) {
  return all.filter((rejection) => rejection.count > 0).map((rejection) => {
    const from = [rejection.handler.replace('_handshake', ' handshake'), rejection.account].filter((part) => part && part !== 'not_found').join(' ')
    return problem(`${count(rejection.count)} rejected: ${inWords(rejection.reason)}`, rejection.advice,
      `${from ? ` on ${from}` : ''} · `, time(rejection.last), ' · ',
      el('a', { href: '?q=outcome:rejected', click: follow }, 'show'))
  })
}

function follow(event) {
  event.preventDefault()
  go({ view: '', d: '', q: 'outcome:rejected' })
}

const percent = (part, whole) => `${Math.round(100 * part / whole)} %`

// The strip calls these a problem.
const nearlyFull = 0.9
const behind = 60 // seconds

const sentence = (text) => (text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : '')

// isShown leaves out what the strip shows by itself. A rejection counts for as long as
// nothing was accepted after it.
function isShown(finding, s) {
  if (finding.code === 'rejected') return !s.rejections.some((rejection) => rejection.count > 0)
  return finding.code !== 'not_ready'
}

function findings(s, level) {
  return s.findings.filter((finding) => finding.level === level && isShown(finding, s))
}

const about = (finding) => (finding.about ? `${finding.about}: ` : '')

const findingProblem = (finding) => problem(`${about(finding)}${finding.text}`, sentence(finding.do))

function notes(s) {
  const found = findings(s, 'note')
  if (found.length === 0) return null
  return el('details', { class: 'notes', open: byId('strip').querySelector('.notes')?.open ?? false },
    el('summary', {}, `${found.length} ${found.length === 1 ? 'note' : 'notes'}`),
    el('ul', {}, ...found.map((finding) => el('li', {}, `${about(finding)}${finding.text}. `, el('span', { class: 'advice' }, sentence(finding.do))))))
}

function forwardProblems({ forwards }) {
  return forwards.filter(({ pending, lag }) => pending > 0 && lag > behind).map((f) => problem(
    `${count(f.pending)} ${f.pending === 1 ? 'delivery waits' : 'deliveries wait'} for the existing bot of ${f.webhook}`,
    `The oldest waits for ${Math.round(f.lag / 60)} min; ${count(f.failed)} attempts have failed since the start. See that the bot runs and answers 2xx; the log has its last error.`))
}

function storeProblems({ store, consumers, findings: known }) {
  const found = []
  if (store.limit > 0 && store.bytes > nearlyFull * store.limit) {
    found.push(problem(`The stream is ${percent(store.bytes, store.limit)} full`,
      'Near the limit only events are purged that every durable consumer has acknowledged. Let the consumers catch up, or raise GATEWAY_STREAM_MAX_BYTES.'))
  }
  if (store.diskSize > 0 && store.diskFree < (1 - nearlyFull) * store.diskSize) {
    found.push(problem(`The disk of the data directory is ${percent(store.diskSize - store.diskFree, store.diskSize)} full`, 'Free some space or move the data directory to a larger disk.'))
  }
  for (const consumer of consumers.filter(({ name, lag, pending }) => lag > behind && pending > 0 && !known.some((finding) => finding.about === name && finding.level === 'problem'))) {
    found.push(problem(`Consumer ${consumer.name} is ${count(consumer.pending)} events behind`,
      `The oldest of them is ${Math.round(consumer.lag / 60)} min old. See that the service runs and acknowledges what it receives.`))
  }
  return found
}

function storeLine({ store, consumers, forwards }) {
  const parts = []
  if (store.limit > 0) parts.push(`stream ${percent(store.bytes, store.limit)} full`)
  if (store.diskSize > 0) parts.push(`disk ${percent(store.diskSize - store.diskFree, store.diskSize)} full`)
  if (consumers.length > 0) parts.push(`${count(consumers.length)} durable ${consumers.length === 1 ? 'consumer' : 'consumers'}`)
  if (store.unclaimed > 0) parts.push(`${count(store.unclaimed)} ${store.unclaimed === 1 ? 'subject' : 'subjects'} unclaimed`)
  for (const f of forwards) parts.push(`${f.webhook} is forwarded: ${count(f.pending)} waiting, ${count(f.failed)} ${f.failed === 1 ? 'attempt' : 'attempts'} failed${f.givenUp ? `, ${count(f.givenUp)} given up` : ''}`)
  return parts.join(' · ')
}

// lastRejections are those that nobody has to act on any more.
function lastRejections({ webhooks, rejections: recent }) {
  const isOver = (webhook) => webhook.rejection && !recent.some((rejection) => rejection.count > 0 && rejection.reason === webhook.reason)
  return webhooks.filter(isOver).map((webhook) => el('span', {},
    `${webhook.webhook}${webhook.account ? ` ${webhook.account}` : ''}: last rejection `, time(webhook.rejection), ` (${inWords(webhook.reason)})`))
}

function accounts(all) {
  if (all.length === 0) return null
  const shown = all.slice(0, shownAccounts).map((account) => el('li', {},
    el('span', { class: 'platform' }, account.platform), ' ', el('bdi', {}, account.account), ' ', time(account.last)))
  if (all.length > shownAccounts) shown.push(el('li', {}, `and ${all.length - shownAccounts} more`))
  return el('ul', { class: 'accounts', 'aria-label': 'Last event of each account' }, ...shown)
}

const narrow = matchMedia('(max-width: 700px)')

// most is how many problems are shown in full.
const most = () => (narrow.matches ? 1 : 3)

// problemList shows the first problems, and the others when somebody asks. Where a view
// needs the room, compact is all of them in one line.
function problemList(problems) {
  if (problems.length === 0) return []
  const rest = problems.slice(most())
  const open = byId('strip').querySelector('.more-problems')?.open ?? false
  const more = problems.length > 1 ? ` and ${count(problems.length - 1)} more` : ''
  return [el('p', { class: 'compact' }, el('span', { 'aria-hidden': 'true' }, '✗ '), el('strong', {}, problems[0].querySelector('strong').textContent), more, ' · ',
    el('a', { href: '?', click: showDeliveries }, 'what to do')),
  el('ul', { class: 'problems' }, ...problems.slice(0, most())),
  rest.length ? el('details', { class: 'more-problems', open }, el('summary', {}, `${count(rest.length)} more ${rest.length === 1 ? 'problem' : 'problems'}`), el('ul', { class: 'problems' }, ...rest)) : '']
}

function showDeliveries(event) {
  event.preventDefault()
  go({ view: '', d: '' })
}

function draw(s) {
  const pill = byId('ready')
  const isReady = s.notReady.length === 0
  pill.className = `pill ${isReady ? 'good' : 'bad'}`
  pill.textContent = isReady ? '● ready' : '✗ not ready'
  const problems = [
    ...s.notReady.map((line) => problem('No event can be stored', line)),
    ...rejections(s.rejections),
    ...findings(s, 'problem').map(findingProblem),
    ...storeProblems(s),
    ...forwardProblems(s),
  ]
  const stored = s.totals.stored ?? 0
  const quiet = stored > 0
    ? `${count(stored)} ${stored === 1 ? 'event' : 'events'} stored since the start`
    : s.handshakes > 0 ? 'Meta has verified the callback URL; no event has arrived yet' : 'No event has arrived yet'
  byId('strip').replaceChildren(
    ...problemList(problems),
    el('div', { class: 'quiet-line' }, el('span', {}, quiet), el('span', {}, storeLine(s)), accounts(s.accounts) ?? '', ...lastRejections(s)), notes(s) ?? '')
  byId('version').textContent = `version ${s.version}`
}

async function refresh() {
  try {
    current = await get('page')
    byId('pause').classList.remove('stale')
    if (!byId('strip').contains(document.activeElement)) draw(current) // it would lose the focus
    for (const listener of listeners) listener(current)
  } catch (error) {
    byId('ready').className = 'pill bad'
    byId('ready').textContent = '✗ no answer'
    byId('pause').classList.add('stale')
    byId('strip').replaceChildren(...problemList([problem(error.message, 'The page goes on by itself when it does.')]))
  }
}

export function start() {
  refresh()
  setInterval(() => document.hidden || refresh(), interval)
  document.addEventListener('visibilitychange', () => document.hidden || refresh())
}

export { refresh }
