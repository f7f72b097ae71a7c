// How many people go from step to step.
import { byId, count, el, go, state } from './common.js'
import { Scanner, choice, windowChoice } from './scan.js'
import { meaning } from './tokens.js'

const most = 8
const suggested = 12
const times = [['', 'any time'], ['10m', '10 minutes'], ['1h', '1 hour'], ['24h', '1 day'], ['168h', '7 days']]

let scanner = null
let known = [] // prefixes and buttons with events
let asked = ''

const steps = () => (state().steps ?? '').split('\n').filter(Boolean)

// typed are the steps in the form.
const typed = () => [...byId('funnel-steps').querySelectorAll('input')].map((input) => input.value.trim())

function line(value, at) {
  const input = el('input', { list: 'funnel-known', value, autocomplete: 'off', spellcheck: 'false', 'aria-label': `Step ${at + 1}`, placeholder: at === 0 ? 'GET_STARTED' : 'plan or plan.pro' })
  return el('li', {}, el('span', { class: 'place', 'aria-hidden': 'true' }, String(at + 1)), input,
    el('button', { type: 'button', class: 'quiet', 'aria-label': `Move step ${at + 1} up`, disabled: at === 0, click: () => move(at) }, '↑'),
    el('button', { type: 'button', class: 'quiet', 'aria-label': `Remove step ${at + 1}`, click: () => remove(at) }, '✕'))
}

function drawSteps(values) {
  const shown = values.length < 2 ? [...values, ...Array(2 - values.length).fill('')] : values
  byId('funnel-steps').replaceChildren(...shown.map(line))
  byId('funnel-add').disabled = shown.length >= most
}

function move(at) {
  const values = typed();
  [values[at - 1], values[at]] = [values[at], values[at - 1]]
  drawSteps(values)
  byId('funnel-steps').querySelectorAll('input')[at - 1].focus()
}

function remove(at) {
  drawSteps(typed().toSpliced(at, 1))
  const inputs = [...byId('funnel-steps').querySelectorAll('input')]
  inputs[Math.min(at, inputs.length - 1)].focus()
}

function add(value = '') {
  const values = typed()
  const free = values.indexOf('')
  if (free >= 0 && value) values[free] = value
  else if (values.length < most) values.push(value)
  drawSteps(values)
  if (!value) [...byId('funnel-steps').querySelectorAll('input')].at(-1).focus()
}

function submit(event) {
  event.preventDefault()
  const values = typed().filter(Boolean)
  if (values.length < 2) {
    byId('funnel-error').textContent = 'A funnel has at least two steps.'
    return
  }
  asked = ''
  go({ steps: values.join('\n'), since: byId('funnel-when').value || 'all', within: byId('funnel-within').value })
  load()
}

const percent = (part, whole) => (whole ? `${Math.round(100 * part / whole)} %` : '–')

function duration(ns) {
  const seconds = ns / 1e9
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`
}

const head = (...names) => el('thead', {}, el('tr', {}, ...names.map(([text, kind]) => (text ? el('th', { scope: 'col', class: kind ?? '' }, text) : el('td', { class: kind })))))

// named is a cell that has its heading beside it where the table is stacked.
const named = (name, text) => el('td', { class: 'number', 'data-name': name }, text)

function stepTable({ steps: all }) {
  const first = all[0].people
  return el('table', { class: 'funnel-table stacked' },
    head(['Step'], ['People', 'number'], ['', 'bar-cell'], ['Of the first', 'number'], ['Of the step before', 'number'], ['Median time', 'number']),
    el('tbody', {}, ...all.map((step, at) => el('tr', {}, el('th', { scope: 'row' }, el('bdi', { class: 'text' }, step.step)), named('People', count(step.people)),
      el('td', { class: 'bar-cell' }, el('meter', { min: 0, max: Math.max(1, first), value: step.people, 'aria-hidden': 'true' })),
      named('Of the first', percent(step.people, first)), named('Of the step before', at ? percent(step.people, all[at - 1].people) : ''),
      named('Median time', at && step.people ? duration(step.median_ns) : '')))))
}

function referralTable({ steps: all, referrals }) {
  if (!referrals || referrals.length === 0 || (referrals.length === 1 && referrals[0].referral === '')) {
    return el('p', { class: 'hint' }, 'Nobody came with a referral.')
  }
  return el('table', { class: 'stacked' }, head(['Referral'], ...all.map((step) => [el('bdi', {}, step.step), 'number']), ['All steps', 'number']),
    el('tbody', {}, ...referrals.map((r) => el('tr', {}, el('th', { scope: 'row' }, r.referral ? el('bdi', { class: 'text' }, r.referral) : 'without a referral'),
      ...r.people.map((people, at) => named(all[at].step, count(people))), named('All steps', percent(r.people.at(-1), r.people[0]))))))
}

function draw(result) {
  const box = byId('funnel-result')
  if (result.steps[0].people === 0) {
    box.replaceChildren(el('p', { class: 'nothing' }, 'Nobody has taken the first step in this time. See that it is written as in the subject, or choose a longer time.'))
    return
  }
  box.replaceChildren(
    result.sample_of > 1 ? el('p', { class: 'note' }, `Estimated from 1 of ${result.sample_of} people.`) : '',
    el('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Table of steps' }, stepTable(result)),
    el('h3', {}, 'By referral'),
    el('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Table of referrals' }, referralTable(result)))
  box.scrollIntoView({ block: 'nearest' }) // on a phone it is below the form
}

async function load() {
  const query = new URLSearchParams(steps().map((step) => ['step', step]))
  query.set('window', !state().since || state().since === 'all' ? '' : state().since)
  query.set('within', state().within ?? '')
  if (steps().length < 2 || asked === query.toString()) return
  asked = query.toString()
  byId('funnel-error').textContent = ''
  const result = await scanner.run(`funnel?${query}`)
  if (result && asked === query.toString()) draw(result)
}

// suggest offers what has events. It costs no scan.
async function suggest() {
  const list = new Scanner(el('div'))
  const result = await list.run('clicks')
  if (!result) return
  const prefixes = new Map()
  for (const { prefix, events } of result.rows) prefixes.set(prefix, (prefixes.get(prefix) ?? 0) + events)
  const sorted = [...prefixes].sort((a, b) => b[1] - a[1]).map(([prefix]) => prefix)
  known = [...sorted, ...result.rows.filter((row) => row.action !== '_').map((row) => `${row.prefix}.${row.action}`)]
  byId('funnel-known').replaceChildren(...known.map((value) => el('option', { value })))
  byId('funnel-suggested').replaceChildren(...known.slice(0, suggested).map((value) => el('button', { type: 'button', title: meaning(...value.split('.')) || null, click: () => add(value) }, '+ ', el('bdi', { class: 'text' }, value))))
  if (known.length === 0) byId('funnel-suggested').append(el('span', { class: 'hint' }, 'No event is stored yet.'))
}

export function start() {
  const progress = el('div', { class: 'scan' })
  byId('funnel').append(
    el('form', { class: 'steps-form', submit },
      el('h2', {}, 'Steps'), el('p', { class: 'hint' }, 'A person reaches a step by a click after the one that reached the step before. Other clicks between them do not matter.'),
      el('ol', { id: 'funnel-steps' }), el('datalist', { id: 'funnel-known' }),
      el('p', { id: 'funnel-suggested', class: 'chips', role: 'group', 'aria-label': 'Add what has events' }),
      el('div', { class: 'choices' }, windowChoice('funnel-when', () => {}), choice('funnel-within', 'First to last step within', times, () => {})),
      el('p', { class: 'error', id: 'funnel-error', role: 'alert' }),
      el('p', { class: 'actions' }, el('button', { class: 'primary' }, 'Count people'), el('button', { type: 'button', id: 'funnel-add', click: () => add() }, 'Add a step'))),
    el('div', { class: 'funnel-found' }, progress, el('div', { id: 'funnel-result' }, el('p', { class: 'hint nothing' }, 'Choose at least two steps, then count.'))))
  scanner = new Scanner(progress)
}

export function show() {
  byId('funnel-when').value = !state().since || state().since === 'all' ? '' : state().since
  byId('funnel-within').value = state().within ?? ''
  if (JSON.stringify(typed().filter(Boolean)) !== JSON.stringify(steps()) || !byId('funnel-steps').childElementCount) drawSteps(steps())
  if (known.length === 0) suggest()
  load()
}

export function hide() {
  scanner.cancel()
  asked = ''
}
