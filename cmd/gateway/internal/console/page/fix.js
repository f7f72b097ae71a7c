// What went wrong and can be done again: dead letters, and events for one consumer. Nothing
// is replayed before the reader has seen what will happen and has said yes.
import { ago, byId, count, el, fullTime, get, inWords, link, post, say, state } from './common.js'
import { letter } from './letter.js'
import { onStatus } from './status.js'

let overview = null
let shown = false // the view is on the screen
let linked = 0 // the dead letter in the URL, when it has been opened
let older = null // the one in the URL, if the list does not go back to it
const chosen = new Set()

const results = {
  stored: (n, dry) => `${count(n)} ${dry ? 'can be read now and will be stored as events, with the ids that they would have had' : 'stored as events'}`,
  duplicate: (n, dry) => `${count(n)} ${dry ? 'are stored already: they will not be stored again, and no consumer receives them again' : 'had been stored before'}`,
  forwarded: (n, dry) => `${count(n)} ${dry ? 'will be posted to the existing bot again' : 'wait to be posted to the existing bot'}`,
  malformed: (n) => `${count(n)} still cannot be read: kept`,
  no_event: (n) => `${count(n)} without an event in it: kept`,
  unusable: (n) => `${count(n)} cannot be replayed: kept`,
}

const time = (at) => el('time', { datetime: at, title: fullTime(at) }, ago(at))
const button = (text, click, attributes = {}) => el('button', { type: 'button', click, ...attributes }, text)
const problem = (error) => el('p', { class: 'result bad', role: 'alert' }, error.message)

// confirm asks in a dialog. Closing it is a no.
function confirm(title, lines, yes) {
  return new Promise((resolve) => {
    const dialog = el('dialog', { 'aria-labelledby': 'fix-confirm-title', class: 'confirm', close: () => { dialog.remove(); resolve(dialog.returnValue === 'yes') } },
      el('h2', { id: 'fix-confirm-title' }, title), el('ul', {}, ...lines.map((line) => el('li', {}, line))),
      el('form', { method: 'dialog', class: 'actions' }, el('button', { value: 'no' }, 'Cancel'), el('button', { value: 'yes', class: 'primary' }, yes)))
    document.body.append(dialog)
    dialog.showModal()
  })
}

function tally(letters) {
  const counts = {}
  for (const letter of letters) counts[letter.result] = (counts[letter.result] ?? 0) + 1
  return counts
}

const describe = (counts, dry) => Object.entries(results).filter(([name]) => counts[name]).map(([name, words]) => words(counts[name], dry))

// tell says what has become of a replay, where the reader sees it.
function tell(...children) {
  byId('fix-result').replaceChildren(...children)
  byId('fix-result').scrollIntoView({ block: 'nearest' })
}

// replayLetters asks first what would happen.
async function replayLetters(sequences) {
  try {
    const plan = await post('fix/dead-letters', 'replay', { sequences, dry_run: true })
    const lines = describe(tally(plan.letters), true)
    if (!plan.letters.some((letter) => letter.result === 'forwarded' || letter.events)) return tell(el('p', { class: 'result bad' }, 'Nothing can be replayed: ', lines.join('; ') || 'these dead letters are not stored any more'))
    if (!await confirm('Replay these dead letters?', [...lines, 'What succeeds is removed from the dead letters. The log keeps a line.'], 'Replay')) return
    const done = await post('fix/dead-letters', 'replay', { sequences })
    const text = describe(tally(done.letters), false).join('; ') || 'nothing: they are gone'
    tell(el('p', { class: 'result good' }, el('strong', {}, '✓ Replayed: '), text))
    say(`Replayed: ${text}`)
    chosen.clear()
    await refresh()
  } catch (error) {
    tell(problem(error))
  }
}

// replayTo has a consumer receive events again.
async function replayTo(request) {
  try {
    const plan = await post('fix/consumer', 'replay', request)
    const lines = [
      `It receives ${count(plan.events)} ${plan.events === 1 ? 'event' : 'events'}, from event ${plan.seq} on, which was stored ${ago(plan.stored)}.`,
      'Also those that it has acknowledged come again. Their ids are the same: a program that acts once for each id does nothing twice.',
      'Nothing is published, and other consumers receive nothing. The log keeps a line.',
    ]
    if (plan.events > 1) lines.splice(1, 0, 'The server cannot deliver one event alone again: those after it come too.')
    if (plan.givenUp) lines.unshift(`${count(plan.givenUp)} of these events it has given up.`)
    if (!await confirm(`Replay to ${plan.consumer}?`, lines, 'Replay')) return
    const done = await post('fix/consumer', 'replay', { consumer: plan.consumer, seq: plan.seq, givenUp: Boolean(request.givenUp), run: true })
    tell(el('p', { class: 'result good' }, el('strong', {}, '✓ Replayed: '), `${done.consumer} receives ${count(done.events)} ${done.events === 1 ? 'event' : 'events'} again`))
    say(`Replayed to ${done.consumer}`)
    await refresh()
  } catch (error) {
    tell(problem(error))
  }
}

async function openLetter(row, seq, reveal) {
  const place = row.querySelector('.letter')
  try {
    const d = reveal ? await post(`fix/dead-letters/${seq}/reveal`, 'reveal') : await get(`fix/dead-letters/${seq}`)
    place.replaceChildren(
      ...letter(d),
      d.delivery ? el('p', {}, link({ d: d.delivery }, 'Show its delivery')) : el('p', { class: 'hint' }, 'Its delivery is not in the list: nobody looked then, or the gateway was restarted since.'),
      el('p', { class: 'actions' },
        button(d.forwarded ? 'Post again' : 'Parse again', () => replayLetters([seq]), { class: 'primary', disabled: d.truncated }),
        d.revealed ? el('span', { class: 'hint' }, 'Personal data is shown') : button('Reveal personal data', () => openLetter(row, seq, true))))
  } catch (error) {
    place.replaceChildren(problem(error))
  }
}

function letterRow({ seq, platform, reason, at }) {
  const check = el('input', { type: 'checkbox', 'aria-label': `Choose dead letter ${seq}: ${platform}, ${inWords(reason)}`, change: (event) => {
    if (event.target.checked) chosen.add(seq)
    else chosen.delete(seq)
    drawChosen()
  } })
  check.checked = chosen.has(seq)
  const row = el('li', { 'data-seq': seq }, check)
  const details = el('details', { toggle: () => details.open && openLetter(row, seq, false) },
    el('summary', {}, el('span', { class: 'platform' }, platform), ' ', el('strong', {}, inWords(reason)), ' ', time(at)),
    el('div', { class: 'letter' }))
  row.append(details)
  return row
}

function drawChosen() {
  const go = byId('fix-again')
  go.disabled = chosen.size === 0
  go.textContent = chosen.size === 0 ? 'Replay those chosen' : `Replay ${count(chosen.size)} chosen`
}

function deadLetters() {
  const all = older ? [...overview.last, older] : overview.last
  const opened = new Set([...document.querySelectorAll('#fix-letters > li')].filter((row) => row.querySelector('details')?.open).map((row) => Number(row.dataset.seq)))
  const rows = all.map((letter) => {
    const kept = opened.has(letter.seq) && document.querySelector(`#fix-letters > li[data-seq="${letter.seq}"]`)
    return kept || letterRow(letter)
  })
  const more = overview.deadLetters - all.length
  byId('fix-letters').replaceChildren(...rows)
  byId('fix-letters-empty').hidden = all.length > 0
  byId('fix-letters-more').hidden = more <= 0
  byId('fix-letters-more').textContent = more > 0 ? `${count(more)} older ones: gateway replay 'deadletter.>' replays them all` : ''
  byId('fix-letters-bar').hidden = all.length === 0
  for (const seq of chosen) if (!all.some((letter) => letter.seq === seq)) chosen.delete(seq)
  drawChosen()
}

// findLinked finds a dead letter that the list does not go back to.
async function findLinked() {
  const seq = Number(state().letter)
  older = null
  if (!seq || overview.last.some((candidate) => candidate.seq === seq)) return
  try {
    const { platform, reason, receivedAt } = await get(`fix/dead-letters/${seq}`)
    older = { seq, platform, reason, at: receivedAt }
  } catch (error) {
    if (linked !== seq) tell(problem(error))
    linked = seq
  }
}

function openLinked() {
  const seq = Number(state().letter)
  const row = document.querySelector(`#fix-letters > li[data-seq="${seq}"]`)
  if (row && linked !== seq) {
    row.querySelector('details').open = true
    row.scrollIntoView()
    row.querySelector('summary').focus()
  }
  linked = seq
}

function givenUp() {
  const all = Object.entries(overview.givenUp).sort()
  byId('fix-given-up').replaceChildren(...all.map(([name, n]) => {
    const consumer = overview.consumers.find((candidate) => candidate.name === name)
    const why = consumer ? consumer.why : 'this consumer does not exist any more'
    return el('li', {}, el('div', { class: 'line' }, el('bdi', { class: 'mono' }, name), ` has given up ${count(n)} ${n === 1 ? 'event' : 'events'}`),
      button(`Replay to ${name}`, () => replayTo({ consumer: name, givenUp: true }), { disabled: why !== '' }),
      why ? el('p', { class: 'hint' }, why) : null)
  }))
  byId('fix-given-up-empty').hidden = all.length > 0
}

function consumers() {
  const select = byId('fix-consumer')
  const names = overview.consumers.map((consumer) => consumer.name)
  if (names.join() !== [...select.options].map((option) => option.value).join()) {
    select.replaceChildren(...names.map((name) => el('option', { value: name }, name)))
    select.value = overview.consumers.find((consumer) => !consumer.why)?.name ?? names[0] ?? ''
  }
  byId('fix-events').hidden = names.length === 0
  byId('fix-events-empty').hidden = names.length > 0
  checkConsumer()
}

function checkConsumer() {
  const why = overview?.consumers.find((consumer) => consumer.name === byId('fix-consumer').value)?.why ?? ''
  byId('fix-why').textContent = why
  byId('fix-replay').disabled = why !== ''
  byId('fix-id-field').hidden = byId('fix-from').value !== 'id'
}

function submit(event) {
  event.preventDefault()
  const from = byId('fix-from').value
  const id = byId('fix-id').value.trim()
  replayTo({ consumer: byId('fix-consumer').value, ...(from === 'id' ? { id } : { seconds: Number(from) }) })
}

async function refresh() {
  try {
    overview = await get('fix')
    label(overview.deadLetters + Object.values(overview.givenUp).reduce((sum, n) => sum + n, 0))
    await findLinked()
    deadLetters()
    givenUp()
    consumers()
    openLinked()
    byId('fix-problem').replaceChildren()
  } catch (error) {
    byId('fix-problem').replaceChildren(problem(error))
  }
}

function label(n) {
  document.querySelector('nav a[data-view="fix"]').textContent = n > 0 ? `Fix (${count(n)})` : 'Fix'
}

async function poll() {
  if (shown) return refresh()
  try {
    label((await get('fix/count')).count)
  } catch {
    // the strip says that the gateway does not respond
  }
}

export function show() {
  if (!shown || Number(state().letter ?? 0) !== linked) refresh()
  shown = true
}

export function hide() {
  shown = false
}

export function start() {
  const periods = [[3600, 'the last hour'], [86400, 'the last day'], [604800, 'the last 7 days']]
  byId('fix').replaceChildren(
    el('div', { id: 'fix-result', role: 'status' }), el('div', { id: 'fix-problem' }),
    el('section', { 'aria-labelledby': 'fix-letters-title' },
      el('h2', { id: 'fix-letters-title' }, 'Dead letters'),
      el('p', { class: 'hint' }, 'What could not become an event, and deliveries that the existing bot did not accept. Repair the cause, then replay: a dead letter is parsed or posted again, and is gone when it succeeds. What cannot be repaired is removed by its age, as events are.'),
      el('p', { class: 'actions', id: 'fix-letters-bar', hidden: true },
        button('Replay those chosen', () => replayLetters([...chosen]), { id: 'fix-again', class: 'primary', disabled: true }),
        button('Choose all', () => { for (const letter of overview.last) chosen.add(letter.seq); for (const box of byId('fix-letters').querySelectorAll(':scope > li > input')) box.checked = true; drawChosen() })),
      el('ul', { id: 'fix-letters', class: 'fix-list', 'aria-label': 'Dead letters, the latest first' }),
      el('p', { id: 'fix-letters-empty', class: 'fix-empty', hidden: true }, '✓ There are no dead letters.'),
      el('p', { id: 'fix-letters-more', class: 'hint', hidden: true })),
    el('section', { 'aria-labelledby': 'fix-given-up-title' },
      el('h2', { id: 'fix-given-up-title' }, 'Given up by consumers'),
      el('p', { class: 'hint' }, 'Events that were delivered as often as the consumer allows, or that its program has terminated.'),
      el('ul', { id: 'fix-given-up', class: 'fix-list' }),
      el('p', { id: 'fix-given-up-empty', class: 'fix-empty', hidden: true }, '✓ No consumer has given up an event.')),
    el('section', { 'aria-labelledby': 'fix-events-title' },
      el('h2', { id: 'fix-events-title' }, 'Replay events to a consumer'),
      el('p', { class: 'hint' }, 'The consumer receives everything of its filters again, from a moment or an event on. One event alone cannot be replayed.'),
      el('form', { id: 'fix-events', submit, hidden: true },
        el('div', { class: 'field' }, el('label', { for: 'fix-consumer' }, 'Consumer'), el('select', { id: 'fix-consumer', change: checkConsumer })),
        el('div', { class: 'field' }, el('label', { for: 'fix-from' }, 'From'), el('select', { id: 'fix-from', change: checkConsumer },
          ...periods.map(([seconds, text]) => el('option', { value: seconds }, `the first event of ${text}`)), el('option', { value: 'id' }, 'an event, by its id'))),
        el('div', { class: 'field', id: 'fix-id-field', hidden: true }, el('label', { for: 'fix-id' }, 'Id of the event'), el('input', { id: 'fix-id', autocomplete: 'off', spellcheck: 'false' })),
        el('p', {}, el('button', { id: 'fix-replay' }, 'Replay…')),
        el('p', { class: 'error', id: 'fix-why' })),
      el('p', { id: 'fix-events-empty', class: 'fix-empty', hidden: true }, 'There is no durable consumer.')))
  onStatus(poll)
}
